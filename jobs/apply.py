"""spark-submit entry point of `prox-spark apply`."""

import sys

from prox_spark.cli import main

sys.exit(main(["apply", *sys.argv[1:]]))
