"""The grammar of programs as a regular expression: a second reader of the same data, for tests to compare with."""

from __future__ import annotations

import re
from typing import Final

from prox_spark.programs.grammar import PROGRAM
from prox_spark.programs.notation import CharClass, Choice, Expression, Literal, Repeat, Rule, Sequence


def to_regex(expression: Expression) -> str:
    """Write an expression as a regular expression of Python's `re`, for `fullmatch`."""
    match expression:
        case Literal(text):
            return re.escape(text)
        case CharClass(spans, negated):
            inside = "".join(f"{re.escape(first)}-{re.escape(last)}" for first, last in spans)
            return f"[{'^' if negated else ''}{inside}]"
        case Rule(_, body):
            return to_regex(body)
        case Sequence(parts):
            return "".join(to_regex(part) for part in parts)
        case Choice(options):
            return f"(?:{'|'.join(to_regex(option) for option in options)})"
        case Repeat(item, at_least, at_most):
            # An optional item written several times over could read a number in many ways, and a failing match tries all.
            return f"(?:{to_regex(item)}){{{at_least},{'' if at_most is None else at_most}}}"


# `fullmatch` recognises what an engine may decode.
PROGRAM_PATTERN: Final = re.compile(to_regex(PROGRAM))
