"""spark-submit entry point of `prox-spark induce`."""

import sys

from prox_spark.commands.induce import main

sys.exit(main())
