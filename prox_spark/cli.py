"""The `prox-spark` command: each subcommand is a module with a `main(argv)`; those in jobs/ are spark-submit jobs too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from prox_spark import __version__

COMMANDS = {
    "ingest": ("prox_spark.commands.ingest", "take files up into a lake"),
    "refine": ("prox_spark.commands.refine", "refine what is new in a lake"),
    "apply": (
        "prox_spark.commands.apply",
        "derive the tables anew from stored generations, with other thresholds or semantics",
    ),
    "compare": ("prox_spark.commands.compare", "what two settings make of the same generations"),
    "annotate": ("prox_spark.commands.annotate", "make labels: ask a teacher about a sample, or import them"),
    "evaluate": ("prox_spark.commands.evaluate", "hold a refiner against labels, beside baselines"),
    "induce": ("prox_spark.commands.induce", "write the programs that turn raw texts into clean ones: training data"),
    "adapt": ("prox_spark.commands.adapt", "train a small model on labels until it is a refiner"),
    "sql": ("prox_spark.commands.sql", "query the tables of a lake"),
    "demo": ("prox_spark.commands.demo", "ingest and refine a sample, or your own files, and show what happened"),
    "refiners": ("prox_spark.commands.refiners", "list the refiners, build one for serving"),
    "corpora": ("prox_spark.commands.corpora", "list the data sets that ingest --corpus knows, or print what one sets"),
    "config": ("prox_spark.commands.config", "every field of a recipe and what it means"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand.

    Returns:
        Exit status: 0 done, 1 the run failed, 2 usage or recipe error.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"prox-spark {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"prox-spark: no command {name!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    return int(importlib.import_module(COMMANDS[name][0]).main(rest))


def _usage() -> str:
    commands = "\n".join(f"  {name:<10}{text}" for name, (_, text) in COMMANDS.items())
    return f"usage: prox-spark COMMAND …\n\n{commands}\n\nprox-spark COMMAND --help says more."


if __name__ == "__main__":
    sys.exit(main())
