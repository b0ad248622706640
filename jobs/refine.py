"""spark-submit entry point of `prox-spark refine`."""

import sys

from prox_spark.cli import main

sys.exit(main(["refine", *sys.argv[1:]]))
