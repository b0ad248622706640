"""spark-submit entry point of `prox-spark evaluate`."""

import sys

from prox_spark.commands.evaluate import main

sys.exit(main())
