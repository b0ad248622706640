"""Named errors and reason codes. Bad rows are data (`ReasonCode`); only a broken run raises."""

from __future__ import annotations

from enum import StrEnum


class ReasonCode(StrEnum):
    """Reason why a row is in `quarantine`. The table holds the value."""

    NULL_TEXT = "null_text"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_RECORD = "invalid_record"
    UNREADABLE_FILE = "unreadable_file"
    TEXT_TOO_LONG = "text_too_long"
    DUPLICATE_ID = "duplicate_id"
    CUT_OFF = "cut_off"
    MISSING_BESIDE = "missing_beside"
    PROMPT_TOO_LONG = "prompt_too_long"
    REQUEST_REFUSED = "request_refused"
    REQUEST_TIMEOUT = "request_timeout"
    ENGINE_CRASH = "engine_crash"


# Codes that annotate a record which is a document as well. They add no record to the counts.
NOTES = frozenset({ReasonCode.CUT_OFF, ReasonCode.MISSING_BESIDE})


class ProxSparkError(Exception):
    """Base of all errors that end a run. The message says what happened and what to change."""


class RecipeError(ProxSparkError):
    """The recipe or an override is not usable. The message names the field, its value and what is accepted."""


class InputError(ProxSparkError):
    """No file of the input can be read. The message holds the first file's error."""


class LakeError(ProxSparkError):
    """A table of the lake is missing, unreadable or not ours.

    The message names the table and the command that makes it.
    """


class RefinerError(ProxSparkError):
    """A refiner can't be found, built or used as asked. The message says which part is missing and how to get it."""


class LabelError(ProxSparkError):
    """A file or table of labels can't be read. The message names file, line and the shapes that are accepted."""


class ConnectError(ProxSparkError):
    """What was asked for needs more than Spark Connect offers, or its server can't be reached. The message says what to use instead."""


class DriverLostError(ProxSparkError):
    """The JVM of the Spark driver ended under a running job. The message says what is kept and what to do."""


class EngineError(ProxSparkError):
    """The engine failed a whole task, not one request. The message holds the engine's last log lines."""


class EngineStartError(EngineError):
    """The engine did not become ready. The message holds the cause, the log's last lines and what to try.

    Args:
        message: the whole message.
        cause: the sentence of the message that says why; empty where the message is only that sentence.
        is_final: True if another start would fail in the same way, such as for an argument that vLLM does not know.
    """

    def __init__(self, message: str, cause: str = "", is_final: bool = False) -> None:
        super().__init__(message)
        self.cause = cause or message
        self.is_final = is_final


class EndpointError(EngineError):
    """The remote engine (engine.endpoint) can't be used, or stopped answering. The message says what to change."""


class SelfTestError(ProxSparkError):
    """A refiner failed the self-test on the fixed sample. The message holds figures, an example and a remedy."""


class RowCountError(ProxSparkError):
    """A stage returned another number of rows than it was given. None of its rows was committed."""


class ConservationError(ProxSparkError):
    """The number of input documents is not the sum over the statuses. The message holds both numbers."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message. Spark's messages continue with a plan or a stack trace."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def find_condition(error: BaseException) -> str | None:
    """Return the name of the condition of an error of Spark or Delta, such as `PATH_ALREADY_EXISTS`; None if it has none."""
    # Spark 3.5 calls it the class of the error.
    find = getattr(error, "getCondition", None) or getattr(error, "getErrorClass", None)
    return find() if find else None


def comes_from_spark(error: BaseException) -> bool:
    """Return True if Spark raised the error: in the JVM of this process, or on a server of Spark Connect."""
    is_of_jvm = hasattr(error, "java_exception") or getattr(error, "_origin", None) is not None
    return is_of_jvm or type(error).__module__ == "pyspark.errors.exceptions.connect"


def root_cause(error: BaseException) -> str:
    """Return the root cause of an error in one line.

    For an error of the JVM that is the last of its causes, without the stack trace.
    """
    java = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    if java is None:
        return first_line(error)
    while (cause := java.getCause()) is not None:
        java = cause
    return next(iter(str(java.getMessage() or "").strip().splitlines()), "") or java.getClass().getSimpleName()
