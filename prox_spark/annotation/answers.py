"""Readers of a teacher's answers: a score or a program, with or without thoughts before it."""

from __future__ import annotations

import re
from typing import Final

from prox_spark.annotation.questions import SCORES
from prox_spark.programs import Program, parse

# The 5 in "3/5", "out of 5", "3 of 5" and "(0-5)" is no score.
_SCALE: Final = re.compile(
    r"\s*(?:/|\bout of\b)\s*5\b|(?<=\d)[*_]*\s*\bof\b\s*5\b|(?:[(\[]|\bfrom\s|\bscale\s(?:of\s)?)\s*[01]\s*(?:[-\u2013]|\bto\b)\s*5\b",
    re.IGNORECASE,
)
_NUMBER: Final = r"(?<![\d.])(\d+)(?!\d|\.\d)"
# The number stands on the same line, or alone on a line after a colon: other numbers there may begin a list.
_NAMED: Final = re.compile(
    rf"\b(?:score|rating|value|quality)\b(?:[^\d\n]{{0,20}}{_NUMBER}|[^\d\n]{{0,10}}:[^\d\w]{{0,8}}{_NUMBER}(?=[*_ \t.]*(?:\n|\Z)))",
    re.IGNORECASE,
)
_ANY: Final = re.compile(_NUMBER)
_BLOCK: Final = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


def read_score(answer: str) -> int | None:
    r"""Return the score of an answer: the last number named a score, else the last number.

    Returns:
        0 to 5; None if there is no number, or its scale is another.

    Example:
        >>> read_score("1 and 2 hold, 3 does not.\n**Score: 2/5**"), read_score("4"), read_score("3.5"), read_score("8")
        (2, 4, None, None)
    """
    text = _SCALE.sub("", _drop_thoughts(answer))
    found = [named[1] or named[2] for named in _NAMED.finditer(text)] or _ANY.findall(text)
    return int(found[-1]) if found and len(found[-1]) < 3 and int(found[-1]) in SCORES else None


def read_program(answer: str, lines: range) -> Program:
    """Return the program of an answer: its last code block, else the whole answer.

    Args:
        answer: the generated text.
        lines: the lines that the program may edit.
    """
    text = _drop_thoughts(answer)
    blocks = _BLOCK.findall(text)
    return parse(blocks[-1] if blocks else text, lines)


def _drop_thoughts(answer: str) -> str:
    """Return the text after a reasoning model's thoughts; empty if the answer was cut within them."""
    # Some chat formats open the thoughts in the prompt; the answer then holds only their end.
    return answer.rpartition("</think>")[2].partition("<think>")[0]
