"""spark-submit entry point of `prox-spark sql`."""

import sys

from prox_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["sql", *sys.argv[1:]]))
