"""Reading what a teacher answered: a score or a program, with or without thoughts before it."""

from __future__ import annotations

import re
from typing import Final

from prox_spark.annotation.questions import SCORES
from prox_spark.programs import Program, parse

# "3/5", "out of 5", "3 of 5" and "(0-5)": that 5 is no score.
_SCALE: Final = re.compile(
    r"\s*(?:/|\bout of\b)\s*5\b|(?<=\d)[*_]*\s*\bof\b\s*5\b|(?:[(\[]|\bfrom\s|\bscale\s(?:of\s)?)\s*[01]\s*(?:[-\u2013]|\bto\b)\s*5\b",
    re.IGNORECASE,
)
_NUMBER: Final = r"(?<![\d.])(\d+)(?!\d|\.\d)"
# On the same line; or after a colon alone on a later one, where another number may begin a list.
_NAMED: Final = re.compile(
    rf"\b(?:score|rating|value|quality)\b(?:[^\d\n]{{0,20}}{_NUMBER}|[^\d\n]{{0,10}}:[^\d\w]{{0,8}}{_NUMBER}(?=[*_ \t.]*(?:\n|\Z)))",
    re.IGNORECASE,
)
_ANY: Final = re.compile(_NUMBER)
_BLOCK: Final = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)


def read_score(answer: str) -> int | None:
    r"""The score of an answer: the last number that is called one, else the last number at all.

    Returns:
        0 to 5; None where there is no number, or one of another scale.

    Example:
        >>> read_score("1 and 2 hold, 3 does not.\n**Score: 2/5**"), read_score("4"), read_score("3.5"), read_score("8")
        (2, 4, None, None)
    """
    text = _SCALE.sub("", _drop_thoughts(answer))
    found = [named[1] or named[2] for named in _NAMED.finditer(text)] or _ANY.findall(text)
    return int(found[-1]) if found and len(found[-1]) < 3 and int(found[-1]) in SCORES else None


def read_program(answer: str, lines: range) -> Program:
    """The program of an answer: its last code block, else all of it.

    Args:
        answer: as generated.
        lines: the lines that it may touch.
    """
    said = _drop_thoughts(answer)
    blocks = _BLOCK.findall(said)
    return parse(blocks[-1] if blocks else said, lines)


def _drop_thoughts(answer: str) -> str:
    """What comes after the thoughts of a reasoning model; nothing where it was cut in them."""
    # Some chat formats open the thoughts in the prompt, then only their end is in the answer.
    return answer.rpartition("</think>")[2].partition("<think>")[0]
