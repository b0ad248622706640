"""spark-submit entry point of `prox-spark induce`."""

import sys

from prox_spark.cli import main

sys.exit(main(["induce", *sys.argv[1:]]))
