"""spark-submit entry point of `prox-spark adapt`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["adapt", *sys.argv[1:]]))
