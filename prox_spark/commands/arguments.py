"""What the command line and the jobs share: arguments that become a recipe, errors that become one line."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prox_spark import errors
from prox_spark.config import Recipe, load_corpus
from prox_spark.errors import ProxSparkError, RecipeError, root_cause

_FORMATS = ("auto", "jsonl", "parquet", "delta", "warc", "wet")
# By these pyspark prints an error as JSON, with the plan and the JVM's trace, before it raises it.
_PYSPARK_ERROR_LOGGERS = ("DataFrameQueryContextLogger", "SQLQueryContextLogger")
# The last line of a Python worker's traceback, and what may come after the message in Spark's text.
_WORKER_ERROR = re.compile(r"^prox_spark\.errors\.(\w+): ", re.MULTILINE)
_AFTER_MESSAGE = re.compile(
    r"\n\s*(?:\tat |Caused by: |(?:Driver|JVM) stacktrace:?\s*$)"
    r"|(?P<next>\n\n(?:During handling of the above exception, another|The above exception was the direct cause))",
    re.MULTILINE,
)


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what every command on a lake has: --recipe, --set, --debug, --lake, --catalog."""
    add_settings_arguments(parser)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--lake", metavar="ROOT", help="path or URI under which the tables lie")
    place.add_argument("--catalog", metavar="NAME.SCHEMA", help="catalog and schema that hold the tables, instead")


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what every command has: --recipe, --set, --debug."""
    parser.add_argument("--recipe", metavar="FILE", help="recipe, YAML; `prox-spark config` prints every field")
    add_override_arguments(parser, ", such as apply.drop_threshold=0.7")


def add_override_arguments(parser: argparse.ArgumentParser, example: str = "") -> None:
    """Adds what every command with a YAML file has: --set, --debug."""
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help=f"a field of the recipe{example}; again for more",
    )
    parser.add_argument("--debug", action="store_true", help="a stack trace with errors")


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what is to be ingested and how its columns are named."""
    parser.add_argument("input", metavar="INPUT", nargs="*", help="files, folders or quoted globs; paths or URIs")
    parser.add_argument(
        "--corpus",
        metavar="NAME",
        help="a published data set, whose columns and layout are known, or a file that describes one; `prox-spark corpora` lists them",
    )
    parser.add_argument("--format", choices=_FORMATS, help="default: auto, by the names")
    parser.add_argument("--text-column", metavar="C", help="column of the text; default: text")
    parser.add_argument("--id-column", metavar="C", help="column of a stable id; default: doc_id or id, else a hash")
    parser.add_argument("--url-column", metavar="C", help="column of the URL; default: url")
    parser.add_argument(
        "--source", metavar="NAME", help="value of the source column; default: the record's own, else the input's name"
    )


def add_annotation_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds who is asked about which documents."""
    parser.add_argument("--teacher", metavar="NAME", help="who is asked: a known name, a directory or a hub model")
    parser.add_argument("--documents", metavar="N", type=int, help="documents to ask about")
    parser.add_argument("--seed", metavar="N", type=int, help="another seed draws other documents")
    parser.add_argument("--label-set", metavar="NAME", help="name of the set; default: the teacher's or the file's")


def recipe_from(args: argparse.Namespace) -> Recipe:
    """The recipe that the arguments describe: --corpus, over it the file, then --set, then the options of their own.

    Raises:
        RecipeError: as `Recipe.load` and `load_corpus` do.
    """
    corpus = getattr(args, "corpus", None)
    recipe = Recipe.load(args.recipe, overrides=args.set, beneath=load_corpus(corpus) if corpus else None)
    data = recipe.model_dump()
    # A place on the command line is the place, whatever kind the file names.
    if getattr(args, "lake", None):
        data["lake"] |= {"root": args.lake, "catalog": None}
    if getattr(args, "catalog", None):
        data["lake"] |= {"root": None, "catalog": args.catalog}
    given: dict[str, Any] = {
        name: value
        for name in ("format", "text_column", "id_column", "url_column", "source")
        if (value := getattr(args, name, None)) is not None
    }
    data["input"] |= given
    data["annotation"] |= {
        name: value
        for name in ("teacher", "documents", "seed", "label_set")
        if (value := getattr(args, name, None)) is not None
    }
    data["input"]["paths"] = [*data["input"]["paths"], *getattr(args, "input", [])]
    return Recipe.parse(data, origin="the command line")


def run_command(command: Callable[[], int], debug: bool = False) -> int:
    """Runs a command, shows its progress on stderr and makes its errors readable.

    Args:
        command: returns an exit status.
        debug: print stack traces.

    Returns:
        The command's own status; 2 for a recipe or usage error, 1 for any other, 130 when interrupted.
    """
    try:
        if not debug:
            _silence_pyspark_error_loggers()
        with _progress_on_stderr():
            return command()
    except RecipeError as error:
        return _report(str(error), 2, debug)
    except ProxSparkError as error:
        return _report(str(error), 1, debug)
    except KeyboardInterrupt:
        return _report("interrupted; start it again and it goes on where it stopped", 130, debug)
    except Exception as error:
        text = str(error).strip()
        if message := _worker_error(text):
            return _report(message, 1, debug)
        hint = "" if debug else " (--debug shows where)"
        return _report(f"{_described(error, text)}{hint}", 1, debug)


def _described(error: Exception, text: str) -> str:
    """Return an error that is none of ours in a line or paragraph, without plans, stack traces and names of py4j's objects."""
    if hasattr(error, "java_exception"):
        return f"{error.java_exception.getClass().getSimpleName()}: {root_cause(error)}"
    name = type(error).__name__
    if "AnalysisException" in (kind.__name__ for kind in type(error).__mro__):
        first = text.partition("\n")[0].rstrip(";")  # the plan follows
    else:
        # Spark's messages carry a JVM stack trace after the first paragraph.
        first = text.partition("\n\n")[0].partition("\n\tat ")[0] or "no message"
    return f"{name}: {first}"


def _worker_error(text: str) -> str | None:
    """The message of the error of ours that a Spark worker raised, out of Spark's text about it; None: it was not ours."""
    message = None
    for match in _WORKER_ERROR.finditer(text):
        kind = getattr(errors, match[1], None)
        if not (isinstance(kind, type) and issubclass(kind, ProxSparkError)):
            continue
        end = _AFTER_MESSAGE.search(text, match.end())
        message = text[match.end() : end.start() if end else len(text)].strip()
        if not (end and end["next"]):
            break  # else it was the cause of a later error, which says more
    return message


@contextmanager
def _progress_on_stderr() -> Iterator[None]:
    """Shows what prox_spark logs, to the person at the terminal or in the job's log. Other loggers stay as they are."""
    logger = logging.getLogger("prox_spark")
    level, propagate = logger.level, logger.propagate
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("  %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a platform's root handler would print it again
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def _silence_pyspark_error_loggers() -> None:
    if "pyspark" not in sys.modules:  # commands without Spark do not wait for its import
        return
    try:
        from pyspark.logger import PySparkLogger
    except ImportError:  # Spark 3.5 has none
        return
    for name in _PYSPARK_ERROR_LOGGERS:
        # Made by its own class: pyspark calls it with arguments that a plain logger refuses.
        PySparkLogger.getLogger(name).disabled = True


def _report(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"prox-spark: {message}", file=sys.stderr)
    return status
