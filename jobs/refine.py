"""spark-submit entry point of `prox-spark refine`."""

import sys

from prox_spark.commands.refine import main

sys.exit(main())
