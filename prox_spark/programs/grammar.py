"""The program language as data: the grammar that the engine decodes under, and the parser is tested against.

It describes the canonical form that `print_program` writes, with names, frames and escapes from where the printer and
the lexer have them. What is decoded under it is read without stray text, unknown operations or malformed arguments;
whether its line numbers make sense is another matter.

Not in the language, though `parse` reads them: the answers of the document stage, `remove_lines(all=True)`, `keep_chunk()`
beside other calls, line numbers of more than five digits, and strings that would do nothing: a source of one character
is never replaced, and one with a line break is nowhere found.
"""

import re
from typing import Final

from prox_spark.programs.notation import (
    CharClass,
    Choice,
    Expression,
    Literal,
    Repeat,
    Rule,
    sequence,
    to_ebnf,
    to_regex,
)
from prox_spark.programs.operations import CALL_FRAMES, ESCAPES, OpName

# A document of 100,000 lines is no page any more; a longer number is a model that counts on and on.
MAX_DIGITS: Final = 5


def _call(op: OpName, *values: tuple[str | Expression, ...]) -> Expression:
    """A call with each value in its place of the frame."""
    first, *others = CALL_FRAMES[op]
    parts: list[str | Expression] = [first]
    for value, after in zip(values, others, strict=True):
        parts += [*value, after]
    return sequence(*parts)


_DIGIT: Final = CharClass((("0", "9"),))
_NUMBER: Final = Rule(
    "number",
    Choice((Literal("0"), sequence(CharClass((("1", "9"),)), Repeat(_DIGIT, 0, MAX_DIGITS - 1)))),
)
# A line break is not written even as an escape: programs work within lines.
_CHARACTER: Final = Rule(
    "character", Choice((CharClass.outside(ESCAPES), Literal(ESCAPES["\\"]), Literal(ESCAPES['"'])))
)
_SOURCE: Final = ('"', Repeat(_CHARACTER, 2, None), '"')
_TARGET: Final = ('"', Repeat(_CHARACTER, 0, None), '"')

_REMOVE: Final = Rule("remove", _call(OpName.REMOVE_LINES, (_NUMBER,), (_NUMBER,)))
_NORMALIZE: Final = Rule("normalize", _call(OpName.NORMALIZE, _SOURCE, _TARGET))
_EDIT: Final = Rule("call", Choice((_REMOVE, _NORMALIZE)))

# The answer of the chunk stage.
PROGRAM: Final = Rule(
    "root", Choice((_call(OpName.KEEP_CHUNK), sequence(_EDIT, Repeat(sequence("\n", _EDIT), 0, None))))
)

# For the engine, as xgrammar and llama.cpp read it. Generations are known by this text: another wording of the same
# language asks every prompt again.
PROGRAM_GRAMMAR: Final = to_ebnf(PROGRAM)
# Recognises with `fullmatch` what the engine may decode.
PROGRAM_PATTERN: Final = re.compile(to_regex(PROGRAM))
