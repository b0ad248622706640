"""The `prox-spark` command. Each subcommand is a module of prox_spark.commands with a `main(argv)`, which a job may call too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from prox_spark import __version__
from prox_spark.commands.closed_pipes import stop_at_closed_pipe
from prox_spark.errors import ProxSparkError

COMMANDS = {
    "ingest": "ingest files or tables into a lake",
    "refine": "refine what is new in a lake",
    "apply": "derive the tables again from stored generations, with other thresholds or semantics",
    "compare": "show what two settings make of the same generations",
    "annotate": "make labels: ask a teacher about a sample, or import them",
    "evaluate": "score a refiner against labels, beside baselines",
    "induce": "write the programs that turn raw texts into clean ones, as training data",
    "adapt": "train a small model on labels until it is a refiner",
    "sql": "query the tables of a lake",
    "demo": "ingest and refine a sample, or your own files, and show what happened",
    "refiners": "list the refiners, or build one for serving",
    "corpora": "list the data sets that ingest --corpus knows, or print what one sets",
    "doctor": "check what a run needs: versions, lake, credentials, inputs, engine, refiners",
    "config": "print every field of a recipe and what it means",
}


class TaskError(ProxSparkError):
    """A command that a scheduler called as a function failed. The message has its exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Returns:
        Exit status: 0 done, 1 the run failed, 2 usage or recipe error, 130 interrupted, 141 nobody reads the output any more.
    """
    return stop_at_closed_pipe(lambda: _run(list(sys.argv[1:] if argv is None else argv)))


def run_task() -> None:
    """Run a subcommand for a scheduler that calls a function, takes its return for success and drops what it returns.

    Databricks calls the entry point of a Python wheel task so, and takes `SystemExit(0)` for a failure.

    Raises:
        TaskError: the exit status is not 0. What went wrong is on standard error.
    """
    try:
        status = main()
    except SystemExit as end:  # The parser of arguments ends so, with its help too.
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    if status:
        raise TaskError(
            f"prox-spark {' '.join(sys.argv[1:2])} ended with exit status {status}: its last message is on standard error"
        )


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_describe_usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"prox-spark {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"prox-spark: no command {name!r}\n\n{_describe_usage()}", file=sys.stderr)
        return 2
    try:
        command = importlib.import_module(f"prox_spark.commands.{name}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "prox_spark"):
            raise
        print(
            f"prox-spark: this Python ({sys.executable}) has no package {package}. Install prox_spark with its requirements there; on a "
            "platform with a Spark of its own, run the jobs by spark-submit",
            file=sys.stderr,
        )
        return 1
    return int(command.main(rest))


def _describe_usage() -> str:
    commands = "\n".join(f"  {name:<10}{text}" for name, text in COMMANDS.items())
    return (
        f"usage: prox-spark COMMAND …\n\n{commands}\n\n`prox-spark COMMAND --help` prints the options of a command, and "
        "`prox-spark --version` the version."
    )


if __name__ == "__main__":
    sys.exit(main())
