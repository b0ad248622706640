"""spark-submit entry point of `prox-spark apply`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["apply", *sys.argv[1:]]))
