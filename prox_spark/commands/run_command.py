"""How every command runs: progress on stderr, errors as one readable message, and an exit status."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable

from prox_spark import errors
from prox_spark.commands.closed_pipes import is_output_closed, stop_at_closed_pipe
from prox_spark.errors import ProxSparkError, RecipeError, root_cause
from prox_spark.watching.log import progress_on_stderr

# With these loggers pyspark prints an error as JSON, with the plan and the JVM's trace, before it raises the error.
_PYSPARK_ERROR_LOGGERS = ("DataFrameQueryContextLogger", "SQLQueryContextLogger")
# The last line of a Python worker's traceback, and what may follow the message in Spark's text.
_WORKER_ERROR = re.compile(r"^prox_spark\.errors\.(\w+): ", re.MULTILINE)
_AFTER_MESSAGE = re.compile(
    r"\n\s*(?:\tat |Caused by: |(?:Driver|JVM) stacktrace:?\s*$)"
    r"|(?P<next>\n\n(?:During handling of the above exception, another|The above exception was the direct cause))",
    re.MULTILINE,
)


def run_command(command: Callable[[], int], debug: bool = False) -> int:
    """Run a command, show its progress on stderr and make its errors readable.

    Args:
        command: returns an exit status.
        debug: True to print stack traces.

    Returns:
        The command's own status; 2 for a recipe or usage error, 1 for any other, 130 when interrupted, 141 when nobody reads
        the output any more.
    """
    return stop_at_closed_pipe(lambda: _run(command, debug))


def _run(command: Callable[[], int], debug: bool) -> int:
    try:
        if not debug:
            _silence_pyspark_error_loggers()
        with progress_on_stderr():
            return command()
    except RecipeError as error:
        return _report(str(error), 2, debug)
    except ProxSparkError as error:
        return _report(str(error), 1, debug)
    except KeyboardInterrupt:
        return _report("interrupted; start it again and it goes on where it stopped", 130, debug)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and is_output_closed():
            raise
        text = str(error).strip()
        if message := _find_worker_error(text):
            return _report(message, 1, debug)
        hint = "" if debug else " (--debug shows where)"
        return _report(f"{_describe(error, text)}{hint}", 1, debug)


def _describe(error: Exception, text: str) -> str:
    """Return an error that is not ours in a line or paragraph, without plans, stack traces and names of py4j's objects."""
    if hasattr(error, "java_exception"):
        return f"{error.java_exception.getClass().getSimpleName()}: {root_cause(error)}"
    name = type(error).__name__
    if "AnalysisException" in (kind.__name__ for kind in type(error).__mro__):
        first = text.partition("\n")[0].rstrip(";")  # The plan follows.
    else:
        # Spark's messages carry a JVM stack trace after the first paragraph.
        first = text.partition("\n\n")[0].partition("\n\tat ")[0] or "no message"
    return f"{name}: {first}"


def _find_worker_error(text: str) -> str | None:
    """Return the message of an error of ours that a Spark worker raised, out of Spark's text about it; None if there is none.

    Spark passes a worker's exception on as text only. Where that text changes, the error is described as any other.
    """
    message = None
    for match in _WORKER_ERROR.finditer(text):
        kind = getattr(errors, match[1], None)
        if not (isinstance(kind, type) and issubclass(kind, ProxSparkError)):
            continue
        end = _AFTER_MESSAGE.search(text, match.end())
        message = text[match.end() : end.start() if end else len(text)].strip()
        if not (end and end["next"]):
            break  # Otherwise it was the cause of a later error, which says more.
    return message


def _silence_pyspark_error_loggers() -> None:
    if "pyspark" not in sys.modules:  # Commands without Spark don't wait for its import.
        return
    try:
        from pyspark.logger import PySparkLogger
    except ImportError:  # Spark 3.5 has no such class.
        return
    for name in _PYSPARK_ERROR_LOGGERS:
        # Its own class makes it, because pyspark calls it with arguments that a plain logger refuses.
        PySparkLogger.getLogger(name).disabled = True


def _report(message: str, status: int, debug: bool) -> int:
    if debug:
        print(_hide_secrets(traceback.format_exc()), end="", file=sys.stderr)
    print(f"prox-spark: {_hide_secrets(message)}", file=sys.stderr)
    return status


def _hide_secrets(text: str) -> str:
    logins = sys.modules.get("prox_spark.logins")  # Where it was not imported, this process has no secret of a store.
    return logins.hide_secrets(text) if logins else text
