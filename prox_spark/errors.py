"""Everything that can go wrong, by name. Bad rows are data (`ReasonCode`); only a broken run raises."""

from __future__ import annotations

from enum import StrEnum


class ReasonCode(StrEnum):
    """Why a row is in `quarantine`. The value is what stands in the table."""

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


# Findings about records that are documents all the same: not one record more.
NOTES = frozenset({ReasonCode.CUT_OFF, ReasonCode.MISSING_BESIDE})


class ProxSparkError(Exception):
    """Base of all errors that end a run. The message says what happened and what to change."""


class RecipeError(ProxSparkError):
    """The recipe or an override is not usable. The message names the field, its value and what is accepted."""


class InputError(ProxSparkError):
    """Not one file of the input can be read. The message holds what the first one said."""


class LakeError(ProxSparkError):
    """A table of the lake is missing, unreadable or not ours. The message names it and the command that makes it."""


class RefinerError(ProxSparkError):
    """A refiner can't be found, built or used as asked. The message says which part is missing and how to get it."""


class LabelError(ProxSparkError):
    """A file or table of labels can't be read. The message names file, line and the shapes that are accepted."""


class DriverLostError(ProxSparkError):
    """The JVM of the Spark driver ended under a running job. The message says what is kept and what to do."""


class EngineError(ProxSparkError):
    """The engine failed a whole task, not one request. The message holds the engine's last log lines."""


class EngineStartError(EngineError):
    """The engine did not become ready. The message holds the cause, the log's last lines and what to try.

    Args:
        message: the whole of it.
        cause: the sentence of it that says why; empty where the message is just that.
        is_final: it would fail in the same way again, such as for an argument that vLLM does not know.
    """

    def __init__(self, message: str, cause: str = "", is_final: bool = False) -> None:
        super().__init__(message)
        self.cause = cause or message
        self.is_final = is_final


class EndpointError(EngineError):
    """The remote engine (engine.endpoint) can't be used, or not any more. The message says what to change."""


class SelfTestError(ProxSparkError):
    """A refiner's answers to the fixed sample are not worth asking for more. The message holds figures, an example and a cure."""


class RowCountError(ProxSparkError):
    """A stage returned another number of rows than it was given; nothing of it was committed."""


class ConservationError(ProxSparkError):
    """Input documents are not the sum over the statuses. The message holds both sides."""


def first_line(error: BaseException) -> str:
    """What went wrong in a line; Spark's messages have a plan or a stack trace below it."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def root_cause(error: BaseException) -> str:
    """Return what first went wrong, in a line: for an error of the JVM the last of its causes, without its stack trace."""
    java = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    if java is None:
        return first_line(error)
    while (cause := java.getCause()) is not None:
        java = cause
    return next(iter(str(java.getMessage() or "").strip().splitlines()), "") or java.getClass().getSimpleName()
