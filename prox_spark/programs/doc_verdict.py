"""Reader of a document stage's answer that was generated as free text, without constraint or probabilities.

Released refiners answer with `keep_doc()` or `drop_doc()`, now and then in code fences, quotes or capitals, and may go
on with the same call or with prose. The answer must *begin* with a line that holds the call and nothing else, because
words around a call can reverse it ("I would not drop_doc() this"). Later lines can't reverse the verdict, but they can
contradict it: another call, or the other call's name, makes the verdict unknown.
"""

import re
from enum import StrEnum
from typing import Final

from prox_spark.programs.operations import DiagnosticCode, OpName
from prox_spark.programs.parser import parse

# The call comes first; a refiner that writes more than this is caught in a loop.
MAX_VERDICT_CHARS: Final = 4_000

_VERDICT_CALLS: Final = frozenset({OpName.KEEP_DOC, OpName.DROP_DOC})
# The other call's name up to the underscore: an answer that is cut inside the name contradicts the verdict as well.
_OTHER_NAME: Final = {
    OpName.KEEP_DOC: re.compile(r"(?<![a-z0-9_])drop_"),
    OpName.DROP_DOC: re.compile(r"(?<![a-z0-9_])keep_"),
}
_COMMENT: Final = re.compile(r"#[^\n]*+")
# Characters that may stand around a call on its line: quotes of any shape, markdown's emphasis, a full stop.
_AROUND: Final = " \t\r\"'“”‘’«»*."


class DocVerdict(StrEnum):
    """The verdict of the document stage on a document."""

    KEEP = "keep"
    DROP = "drop"
    UNKNOWN = "unknown"


def parse_verdict(answer: str) -> DocVerdict:
    """Read the verdict out of a document stage's answer, without guessing.

    Args:
        answer: the answer as generated. Only its first 4,000 characters are read.

    Returns:
        `UNKNOWN` unless the first line with any content is `keep_doc()` or `drop_doc()` alone, and no later line
        contradicts it. Fences, comments, capitals, outer quotes and repeated calls don't matter. Never raises.

    Source: ProX §2.2 for the two calls. The authors' own job (github.com/GAIR-NLP/ProX, utils/doc_utils.py) drops a
    document whose answer holds the letters "drop" anywhere.
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
    calls = {operation.op for operation in program.ops}
    malformed = {finding.code for finding in program.diagnostics} & {DiagnosticCode.MALFORMED_ARGUMENTS}
    if len(calls) != 1 or not calls <= _VERDICT_CALLS or malformed:
        return DocVerdict.UNKNOWN
    [name] = calls
    if _OTHER_NAME[name].search(text):
        return DocVerdict.UNKNOWN
    return DocVerdict.DROP if name is OpName.DROP_DOC else DocVerdict.KEEP
