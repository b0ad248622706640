"""spark-submit entry point of `prox-spark ingest`."""

import sys

from prox_spark.commands.ingest import main

sys.exit(main())
