"""spark-submit entry point of `prox-spark annotate`."""

import sys

from prox_spark.commands.annotate import main

sys.exit(main())
