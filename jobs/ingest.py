"""spark-submit entry point of `prox-spark ingest`."""

import sys

from prox_spark.cli import main

sys.exit(main(["ingest", *sys.argv[1:]]))
