"""`prox-spark corpora`: the data sets that `ingest --corpus` knows; with a name, what it sets and where that is from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.arguments import run_command
from prox_spark.config import find_corpus, list_corpora


def main(argv: Sequence[str] | None = None) -> int:
    """Lists the corpora, or prints the file of one: a start for your own."""
    parser = argparse.ArgumentParser(prog="prox-spark corpora", description=__doc__)
    parser.add_argument("name", metavar="NAME", nargs="?", help="print the file of this corpus")
    args = parser.parse_args(argv)
    return run_command(lambda: _print(args.name) if args.name else _list())


def _list() -> int:
    for corpus in list_corpora():
        print(f"{corpus.name:<15}{corpus.description}")
    return 0


def _print(name: str) -> int:
    print(find_corpus(name).read_text(encoding="utf-8"), end="")
    return 0
