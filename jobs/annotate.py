"""spark-submit entry point of `prox-spark annotate`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["annotate", *sys.argv[1:]]))
