"""spark-submit entry point of `prox-spark adapt`."""

import sys

from prox_spark.cli import main

sys.exit(main(["adapt", *sys.argv[1:]]))
