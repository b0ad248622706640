r"""Reads the pieces of a program's text: names, numbers, quoted strings, the arguments of one call.

Where a string ends. Released refiners print `normalize(source_str="…", target_str="…")` without escaping quotes inside
the strings, so the next quote of the opening kind need not be the end. It is the end only when what follows it, after
spaces, is

* a comma and the name of a string parameter with its `=` (without the comma the call is malformed), or
* for an argument without a name, a comma and another quote, or
* a closing parenthesis (a comma before it is allowed) that is itself followed by the end of the line or of the
  text, a comment, a backtick or another call, with `;` or `,` in between if need be.

Every other quote is part of the string. A backslash hides the quote after it; `\\ \" \' \n \r \t` are the escapes,
a backslash before anything else is itself. A string never spans a raw line break.

Every pattern here is linear: loops are possessive and no two neighbours in a pattern match the same characters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prox_spark.programs.operations import ESCAPES, MAX_LINE_NUMBER, PARAMETERS, OpName, snippet

# `untouch_doc` is what the authors' chunk prompt calls keeping a chunk.
OPERATION_NAMES: Final[Mapping[str, OpName]] = {op.value: op for op in OpName} | {"untouch_doc": OpName.KEEP_CHUNK}
PARAMETER_NAMES: Final[Mapping[str, str]] = {
    **{name: name for names in PARAMETERS.values() for name in names},
    "start": "line_start",
    "end": "line_end",
    "source": "source_str",
    "target": "target_str",
    "all": "all",
}
# No operation has more than two; a handful more are read so that the finding can say what is wrong.
MAX_ARGUMENTS: Final = 8

_CALL_NAMES: Final = "|".join(sorted(OPERATION_NAMES, key=len, reverse=True))
KNOWN_CALL: Final = rf"(?<![A-Za-z0-9_])(?:{_CALL_NAMES})[ \t]*+\("
# Only the parameters of `normalize` take strings; others, say `end=`, occur in program code that is being refined.
_STRINGS: Final = PARAMETERS[OpName.NORMALIZE]
_STRING_NAMES: Final = "|".join(name for name, parameter in PARAMETER_NAMES.items() if parameter in _STRINGS)
_PARAMETER: Final = rf"(?:{_STRING_NAMES})[ \t]*+="
_CLOSE: Final = rf"\)[ \t\r;,]*+(?:\n|\Z|[#`]|{KNOWN_CALL})"
_COMMA: Final = r"[ \t]*+,[ \t]*+"
# A forgotten comma is malformed, not a very long string. The short names are left out: HTML has `target=`.
_NO_COMMA: Final = rf"(?:{'|'.join(_STRINGS)})[ \t]*+="
_END_NAMED: Final = rf"[ \t]*+(?:{_CLOSE}|{_NO_COMMA})|{_COMMA}(?:{_PARAMETER}|{_CLOSE})"
_END_POSITIONAL: Final = rf"[ \t]*+(?:{_CLOSE}|{_NO_COMMA})|{_COMMA}(?:{_PARAMETER}|{_CLOSE}|[\"'])"


def _body(mark: str, end: str) -> re.Pattern[str]:
    return re.compile(rf"(?:[^{mark}\\\n]++|\\[^\n]?+|{mark}(?!{end}))*+")


_BODIES: Final = {
    (mark, named): _body(mark, _END_NAMED if named else _END_POSITIONAL) for mark in "\"'" for named in (True, False)
}
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")
_INTEGER: Final = re.compile(r"-?[0-9]++(?![A-Za-z0-9_.])")
_BLANKS: Final = re.compile(r"[ \t\r]*+")
_REST: Final = re.compile(r"\s*+\Z")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {written[1]: meant for meant, written in ESCAPES.items()} | {"t": "\t", "'": "'"}

Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call; `name` is None for a positional one, and as written otherwise."""

    name: str | None
    value: Value


class MalformedCall(Exception):
    """The arguments can't be read. `position` is where reading stopped; `in_string` says that a string was open."""

    def __init__(self, position: int, detail: str, *, in_string: bool = False) -> None:
        """Keeps where reading stopped beside the reason."""
        super().__init__(detail)
        self.position = position
        self.in_string = in_string


class TruncatedCall(Exception):
    """The text ends before the call does."""


def read_name(text: str, position: int) -> str:
    """The identifier that starts at `position`, empty if there is none."""
    found = _NAME.match(text, position)
    return found.group() if found else ""


def skip_blanks(text: str, position: int) -> int:
    """The first position from `position` on that holds no space, tab or carriage return."""
    found = _BLANKS.match(text, position)
    return found.end() if found else position


def at_end(text: str, position: int) -> bool:
    """Whether nothing but white space follows."""
    return _REST.match(text, position) is not None


def read_arguments(text: str, position: int) -> tuple[list[Argument], int]:
    """Reads the arguments of a call up to its closing parenthesis.

    Args:
        text: the whole program.
        position: just behind the opening parenthesis.

    Returns:
        The arguments in order, and the position behind the closing parenthesis.

    Raises:
        MalformedCall: the arguments break the grammar; a line break inside the call does so too.
        TruncatedCall: the text ends inside the call.
    """
    arguments: list[Argument] = []
    position = skip_blanks(text, position)
    while not text.startswith(")", position):
        if len(arguments) == MAX_ARGUMENTS:
            raise MalformedCall(position, f"more than {MAX_ARGUMENTS} arguments")
        argument, position = _read_argument(text, position)
        arguments.append(argument)
        position = skip_blanks(text, position)
        if text.startswith(",", position):
            position = skip_blanks(text, position + 1)
        elif not text.startswith(")", position):
            raise _failure(text, position)
    return arguments, position + 1


def _read_argument(text: str, position: int) -> tuple[Argument, int]:
    name = read_name(text, position)
    if name in ("True", "False"):
        return Argument(None, name == "True"), position + len(name)
    if not name:
        value, position = _read_value(text, position, named=False)
        return Argument(None, value), position
    position = skip_blanks(text, position + len(name))
    if not text.startswith("=", position):
        raise _failure(text, position)
    value, position = _read_value(text, skip_blanks(text, position + 1), named=True)
    return Argument(name, value), position


def _read_value(text: str, position: int, *, named: bool) -> tuple[Value, int]:
    mark = text[position : position + 1]
    if mark and mark in "\"'":
        return _read_string(text, position, mark, named)
    if number := _INTEGER.match(text, position):
        return _integer(number.group()), number.end()
    word = read_name(text, position)
    if word in ("True", "False"):
        return word == "True", position + len(word)
    raise _failure(text, position)


def _integer(digits: str) -> int:
    """An integer of any length: int() refuses more than 4,300 digits, and no such line exists anyway."""
    magnitude = digits.lstrip("-").lstrip("0") or "0"
    value = int(magnitude) if len(magnitude) <= 10 else MAX_LINE_NUMBER + 1
    value = min(value, MAX_LINE_NUMBER + 1)
    return -value if digits.startswith("-") else value


def _read_string(text: str, position: int, mark: str, named: bool) -> tuple[str, int]:
    found = _BODIES[mark, named].match(text, position + 1)
    end = found.end() if found else position + 1
    if text.startswith(mark, end):
        return _ESCAPE.sub(_unescape, text[position + 1 : end]), end + 1
    # A quote and a parenthesis inside say that the call was closed and something else followed on the line: calling
    # that truncated would hide an error.
    closed = re.search(rf"{mark}[ \t]*+\)", text[position + 1 : end])
    if at_end(text, end) and not closed:
        raise TruncatedCall
    detail = f"the string {snippet(text[position:end], 40)} has no end on its line"
    raise MalformedCall(end, detail, in_string=True)


def _unescape(found: re.Match[str]) -> str:
    return _ESCAPED.get(found.group(1), found.group())


def _failure(text: str, position: int) -> MalformedCall | TruncatedCall:
    if at_end(text, position):
        return TruncatedCall()
    return MalformedCall(position, f"unexpected {snippet(text[position : position + 20])!r}")
