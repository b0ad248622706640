"""spark-submit entry point of `prox-spark evaluate`."""

import sys

from prox_spark.cli import main

sys.exit(main(["evaluate", *sys.argv[1:]]))
