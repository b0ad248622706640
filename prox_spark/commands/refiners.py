"""`prox-spark refiners`: which refiners there are; build one into the cache, so that no run has to wait for it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.arguments import run_command
from prox_spark.refiners import find, list_refiners
from prox_spark.refiners.build import build


def main(argv: Sequence[str] | None = None) -> int:
    """Lists or builds."""
    parser = argparse.ArgumentParser(prog="prox-spark refiners", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="names, uses, licences")
    builder = actions.add_parser("build", help="convert and merge the weights into the cache; prints where they are")
    builder.add_argument("name", help="a name of the list, or a directory with refiner.yaml")
    args = parser.parse_args(argv)
    return run_command(_list if args.action == "list" else lambda: _build(args.name))


def _list() -> int:
    for name in list_refiners():
        card = find(name).card
        print(f"{name:<34}{'+'.join(card.uses):<11}{card.licence:<12}{card.description}")
    return 0


def _build(name: str) -> int:
    print(f"refiner {name}: {build(find(name))}")
    return 0
