"""`prox-spark doctor`: check what a run needs, before it needs it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from rich import box
from rich.table import Table
from rich.text import Text

from prox_spark.commands.arguments import add_recipe_arguments, make_recipe
from prox_spark.commands.run_command import run_command
from prox_spark.doctor import Check, Status, examine
from prox_spark.report.terminal import make_console

_DESCRIPTION = """Check versions, the lake and its log store, credentials, inputs, the engine, refiners and disks, and say what to
change. Nothing is left behind, and no credential is shown. The exit status is 1 if a check failed."""
_STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILURE: "red"}


def main(argv: Sequence[str] | None = None) -> int:
    """Check and print what was found. Return the exit status, as `run_command` does."""
    parser = argparse.ArgumentParser(prog="prox-spark doctor", description=_DESCRIPTION)
    parser.add_argument(
        "input", metavar="INPUT", nargs="*", help="files, folders or quoted globs that are to be ingested"
    )
    parser.add_argument("--json", action="store_true", help="print the checks as JSON: name, status, found, change")
    add_recipe_arguments(parser)
    args = parser.parse_args(argv)

    def run() -> int:
        checks = examine(make_recipe(args))
        if args.json:
            print(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
        else:
            _print_checks(checks)
        return 1 if any(check.status is Status.FAILURE for check in checks) else 0

    return run_command(run, debug=args.debug)


def _print_checks(checks: Sequence[Check]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("check", "status", "found", "what to change"):
        table.add_column(column, overflow="fold", no_wrap=column == "status")
    for check in checks:
        status = Text(check.status, style=_STYLES[check.status])
        table.add_row(Text(check.name), status, Text(check.found), Text(check.change))
    make_console().print(table)
    counts = (f"{sum(check.status is status for check in checks)} {status}" for status in Status)
    print(", ".join(counts))
