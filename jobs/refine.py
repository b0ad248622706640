"""spark-submit entry point of `prox-spark refine`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["refine", *sys.argv[1:]]))
