r"""Reader of the tokens of a program's text: names, numbers, quoted strings, the arguments of one call.

Released refiners print `normalize(source_str="…", target_str="…")` without escaping quotes inside the strings, so the
next quote of the opening kind need not end the string. It ends the string only when it is followed, after spaces, by

* a comma and the name of a string parameter with its `=` (without the comma the call is malformed), or
* in a positional argument, a comma and another quote, or
* a closing parenthesis (a comma before it is allowed) that is itself followed by the end of the line or of the text, a
  comment, a backtick or another call; `;` or `,` may stand in between.

Every other quote is part of the string. A backslash escapes the quote after it; `\\ \" \' \n \r \t` are the escapes, and
a backslash before any other character is literal. A string never spans a raw line break.

Every pattern here takes linear time: loops are possessive and no two neighbours in a pattern match the same characters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prox_spark.programs.operations import ESCAPES, MAX_LINE_NUMBER, PARAMETERS, OpName, make_snippet

# The authors' chunk prompt names keeping a chunk `untouch_doc`.
OPERATION_NAMES: Final[Mapping[str, OpName]] = {op.value: op for op in OpName} | {"untouch_doc": OpName.KEEP_CHUNK}
PARAMETER_NAMES: Final[Mapping[str, str]] = {
    **{name: name for names in PARAMETERS.values() for name in names},
    "start": "line_start",
    "end": "line_end",
    "source": "source_str",
    "target": "target_str",
    "all": "all",
}
# No operation has more than two; a few more are read so that the finding can tell what is wrong.
MAX_ARGUMENTS: Final = 8

_CALL_NAMES: Final = "|".join(sorted(OPERATION_NAMES, key=len, reverse=True))
KNOWN_CALL: Final = rf"(?<![A-Za-z0-9_])(?:{_CALL_NAMES})[ \t]*+\("
# Only the parameters of `normalize` take strings; others, such as `end=`, occur in source code that is being refined.
_STRINGS: Final = PARAMETERS[OpName.NORMALIZE]
_STRING_NAMES: Final = "|".join(name for name, parameter in PARAMETER_NAMES.items() if parameter in _STRINGS)
_PARAMETER: Final = rf"(?:{_STRING_NAMES})[ \t]*+="
_CLOSE: Final = rf"\)[ \t\r;,]*+(?:\n|\Z|[#`]|{KNOWN_CALL})"
_COMMA: Final = r"[ \t]*+,[ \t]*+"
# A missing comma makes a malformed call, not a very long string. The short names are left out: HTML has `target=`.
_NO_COMMA: Final = rf"(?:{'|'.join(_STRINGS)})[ \t]*+="
_END_NAMED: Final = rf"[ \t]*+(?:{_CLOSE}|{_NO_COMMA})|{_COMMA}(?:{_PARAMETER}|{_CLOSE})"
_END_POSITIONAL: Final = rf"[ \t]*+(?:{_CLOSE}|{_NO_COMMA})|{_COMMA}(?:{_PARAMETER}|{_CLOSE}|[\"'])"


def _compile_body(mark: str, end: str) -> re.Pattern[str]:
    return re.compile(rf"(?:[^{mark}\\\n]++|\\[^\n]?+|{mark}(?!{end}))*+")


_BODIES: Final = {
    (mark, named): _compile_body(mark, _END_NAMED if named else _END_POSITIONAL)
    for mark in "\"'"
    for named in (True, False)
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
    """One argument of a call; `name` is as written, None for a positional argument."""

    name: str | None
    value: Value


class MalformedCall(Exception):
    """The arguments can't be read. `position` is where reading stopped; `in_string` is True if a string was open."""

    def __init__(self, position: int, detail: str, *, in_string: bool = False) -> None:
        """Keep the position where reading stopped beside the reason."""
        super().__init__(detail)
        self.position = position
        self.in_string = in_string


class TruncatedCall(Exception):
    """The text ends before the call does."""


def read_name(text: str, position: int) -> str:
    """Return the identifier that starts at `position`, empty if there is none."""
    found = _NAME.match(text, position)
    return found.group() if found else ""


def skip_blanks(text: str, position: int) -> int:
    """Return the first position from `position` on that holds no space, tab or carriage return."""
    found = _BLANKS.match(text, position)
    return found.end() if found else position


def is_at_end(text: str, position: int) -> bool:
    """Return True if nothing but white space follows."""
    return _REST.match(text, position) is not None


def read_arguments(text: str, position: int) -> tuple[list[Argument], int]:
    """Read the arguments of a call up to its closing parenthesis.

    Args:
        text: the whole program.
        position: just behind the opening parenthesis.

    Returns:
        The arguments in order, and the position behind the closing parenthesis.

    Raises:
        MalformedCall: the arguments break the grammar, as does a line break inside the call.
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
            raise _make_failure(text, position)
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
        raise _make_failure(text, position)
    value, position = _read_value(text, skip_blanks(text, position + 1), named=True)
    return Argument(name, value), position


def _read_value(text: str, position: int, *, named: bool) -> tuple[Value, int]:
    mark = text[position : position + 1]
    if mark and mark in "\"'":
        return _read_string(text, position, mark, named)
    if number := _INTEGER.match(text, position):
        return _read_integer(number.group()), number.end()
    word = read_name(text, position)
    if word in ("True", "False"):
        return word == "True", position + len(word)
    raise _make_failure(text, position)


def _read_integer(digits: str) -> int:
    """Read an integer of any length: `int()` refuses more than 4,300 digits, and no document has so many lines."""
    magnitude = digits.lstrip("-").lstrip("0") or "0"
    value = int(magnitude) if len(magnitude) <= 10 else MAX_LINE_NUMBER + 1
    value = min(value, MAX_LINE_NUMBER + 1)
    return -value if digits.startswith("-") else value


def _read_string(text: str, position: int, mark: str, named: bool) -> tuple[str, int]:
    found = _BODIES[mark, named].match(text, position + 1)
    end = found.end() if found else position + 1
    if text.startswith(mark, end):
        return _ESCAPE.sub(_unescape, text[position + 1 : end]), end + 1
    # A quote and a parenthesis inside mean that the call was closed and other text followed on the line: to call it
    # truncated would hide an error.
    closed = re.search(rf"{mark}[ \t]*+\)", text[position + 1 : end])
    if is_at_end(text, end) and not closed:
        raise TruncatedCall
    detail = f"the string {make_snippet(text[position:end], 40)} has no end on its line"
    raise MalformedCall(end, detail, in_string=True)


def _unescape(found: re.Match[str]) -> str:
    return _ESCAPED.get(found.group(1), found.group())


def _make_failure(text: str, position: int) -> MalformedCall | TruncatedCall:
    if is_at_end(text, position):
        return TruncatedCall()
    return MalformedCall(position, f"unexpected {make_snippet(text[position : position + 20])!r}")
