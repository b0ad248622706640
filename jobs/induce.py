"""spark-submit entry point of `prox-spark induce`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["induce", *sys.argv[1:]]))
