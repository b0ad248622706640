"""spark-submit entry point of `prox-spark evaluate`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
