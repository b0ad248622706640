"""spark-submit entry point of `prox-spark adapt`."""

import sys

from prox_spark.commands.adapt import main

sys.exit(main())
