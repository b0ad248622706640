"""Reads the answer of a document stage that was generated as free text, without constraint or probabilities.

Released refiners answer with `keep_doc()` or `drop_doc()`, in code fences, quotes or capitals now and then, and may go
on: with the call again, or with prose. The answer must *begin* with a line that holds the call and nothing else, since
words around a call can turn it round ("I would not drop_doc() this"). What follows on later lines can't take it back,
it can only disagree: any other call, or the other call's name, makes the verdict unknown.
"""

import re
from enum import StrEnum
from typing import Final

from prox_spark.programs.operations import DiagnosticCode, OpName
from prox_spark.programs.parser import parse

# The call comes first; a refiner that goes on for longer than this is caught in a loop.
MAX_VERDICT_CHARS: Final = 4_000

_VERDICTS: Final = frozenset({OpName.KEEP_DOC, OpName.DROP_DOC})
# Its name up to the underscore, so that an answer that is cut inside the name disagrees as well.
_OTHER_NAME: Final = {
    OpName.KEEP_DOC: re.compile(r"(?<![a-z0-9_])drop_"),
    OpName.DROP_DOC: re.compile(r"(?<![a-z0-9_])keep_"),
}
_COMMENT: Final = re.compile(r"#[^\n]*+")
# What may stand around a call on its line: quotes of any shape, markdown's emphasis, a full stop.
_AROUND: Final = " \t\r\"'“”‘’«»*."


class DocVerdict(StrEnum):
    """What an answer says about a document."""

    KEEP = "keep"
    DROP = "drop"
    UNKNOWN = "unknown"


def parse_verdict(answer: str) -> DocVerdict:
    """Reads what a document stage's answer says, and never guesses.

    Args:
        answer: the answer as generated. Only its first 4,000 characters are read.

    Returns:
        `UNKNOWN` unless the first line that says anything is `keep_doc()` or `drop_doc()` alone, and no later line
        disagrees. Fences, comments, capitals, outer quotes and repeated calls don't matter. Never raises.

    Source: the two calls are those of ProX §2.2. The authors' own job (github.com/GAIR-NLP/ProX, utils/doc_utils.py) drops
    a document whose answer holds the letters "drop" anywhere.
    """
    text = _COMMENT.sub("", answer[:MAX_VERDICT_CHARS].lower())
    lines = [bare for line in text.split("\n") if (bare := line.strip(_AROUND))]
    for line in lines:
        first = parse(line)
        if first.diagnostics:
            return DocVerdict.UNKNOWN
        if first.ops:
            break
    else:
        return DocVerdict.UNKNOWN
    program = parse("\n".join(lines))
    said = {operation.op for operation in program.ops}
    unread = {finding.code for finding in program.diagnostics} & {DiagnosticCode.MALFORMED_ARGUMENTS}
    if len(said) != 1 or not said <= _VERDICTS or unread:
        return DocVerdict.UNKNOWN
    [name] = said
    if _OTHER_NAME[name].search(text):
        return DocVerdict.UNKNOWN
    return DocVerdict.DROP if name is OpName.DROP_DOC else DocVerdict.KEEP
