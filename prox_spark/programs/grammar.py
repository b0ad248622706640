"""The program language as data: the grammar that the engine decodes under and that the parser is tested against.

The grammar describes the canonical form that `print_program` writes; names, call frames and escapes are those of the
printer and the lexer. An answer decoded under it has no stray text, unknown operations or malformed arguments; its line
numbers may still make no sense.

`parse` reads more than this language: the answers of the document stage, `remove_lines(all=True)`, `keep_chunk()` beside
other calls, line numbers of more than five digits, and strings that would do nothing (a source of one character is never
replaced, and a source with a line break is never found).
"""

from typing import Final

from prox_spark.programs.notation import CharClass, Choice, Expression, Literal, Repeat, Rule, make_sequence, to_ebnf
from prox_spark.programs.operations import CALL_FRAMES, ESCAPES, OpName

# No web page has 100,000 lines; a longer number is a model that counts on and on.
MAX_DIGITS: Final = 5


def _make_call(op: OpName, *values: tuple[str | Expression, ...]) -> Expression:
    """Make a call, with each value in its place in the frame."""
    first, *others = CALL_FRAMES[op]
    parts: list[str | Expression] = [first]
    for value, after in zip(values, others, strict=True):
        parts += [*value, after]
    return make_sequence(*parts)


_DIGIT: Final = CharClass((("0", "9"),))
_NUMBER: Final = Rule(
    "number",
    Choice((Literal("0"), make_sequence(CharClass((("1", "9"),)), Repeat(_DIGIT, 0, MAX_DIGITS - 1)))),
)
# Line breaks are left out, even as escapes: programs work within lines.
_CHARACTER: Final = Rule(
    "character", Choice((CharClass.none_of(ESCAPES), Literal(ESCAPES["\\"]), Literal(ESCAPES['"'])))
)
_SOURCE: Final = ('"', Repeat(_CHARACTER, 2, None), '"')
_TARGET: Final = ('"', Repeat(_CHARACTER, 0, None), '"')

_REMOVE: Final = Rule("remove", _make_call(OpName.REMOVE_LINES, (_NUMBER,), (_NUMBER,)))
_NORMALIZE: Final = Rule("normalize", _make_call(OpName.NORMALIZE, _SOURCE, _TARGET))
_EDIT: Final = Rule("call", Choice((_REMOVE, _NORMALIZE)))

# The answer of the chunk stage.
PROGRAM: Final = Rule(
    "root", Choice((_make_call(OpName.KEEP_CHUNK), make_sequence(_EDIT, Repeat(make_sequence("\n", _EDIT), 0, None))))
)

# For the engine, as xgrammar and llama.cpp read it. Generations are keyed by this text: another wording of the same
# language asks every prompt again.
PROGRAM_GRAMMAR: Final = to_ebnf(PROGRAM)
