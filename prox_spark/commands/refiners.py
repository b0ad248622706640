"""`prox-spark refiners`: the known refiners, and building one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from prox_spark.commands.run_command import run_command
from prox_spark.refiners import find, list_refiners
from prox_spark.refiners.build import build

_DESCRIPTION = "List the refiners, or build one into the cache, so that no run has to wait for it."


def main(argv: Sequence[str] | None = None) -> int:
    """List the refiners, or build one. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark refiners", description=_DESCRIPTION)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="print names, stages and licences")
    builder = actions.add_parser("build", help="convert and merge the weights into the cache, and print where they are")
    builder.add_argument("name", help="a name of the list, or a directory with refiner.yaml")
    args = parser.parse_args(argv)
    return run_command(_print_list if args.action == "list" else lambda: _build(args.name))


def _print_list() -> int:
    for name in list_refiners():
        card = find(name).card
        print(f"{name:<34}{'+'.join(card.uses):<11}{card.licence:<12}{card.description}")
    return 0


def _build(name: str) -> int:
    print(f"refiner {name}: {build(find(name))}")
    return 0
