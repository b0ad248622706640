"""`prox-spark corpora`: the data sets that `ingest --corpus` knows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.run_command import run_command
from prox_spark.config import find_corpus, list_corpora

_DESCRIPTION = """List the data sets that `ingest --corpus` knows. With a name, print what that corpus sets and where the data is
from."""


def main(argv: Sequence[str] | None = None) -> int:
    """List the corpora, or print the file of one, which is a start for your own. Return the exit status."""
    parser = argparse.ArgumentParser(prog="prox-spark corpora", description=_DESCRIPTION)
    parser.add_argument("name", metavar="NAME", nargs="?", help="corpus whose file is printed")
    args = parser.parse_args(argv)
    return run_command(lambda: _print_file(args.name) if args.name else _print_list())


def _print_list() -> int:
    for corpus in list_corpora():
        print(f"{corpus.name:<15}{corpus.description}")
    return 0


def _print_file(name: str) -> int:
    print(find_corpus(name).read_text(encoding="utf-8"), end="")
    return 0
