"""spark-submit entry point of `prox-spark apply`."""

import sys

from prox_spark.commands.apply import main

sys.exit(main())
