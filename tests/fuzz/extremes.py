"""Answers of any length that repeat one piece, on which a reader that is not linear would be slow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prox_spark.programs import DiagnosticCode

LONG = DiagnosticCode.PROGRAM_TOO_LONG
BAD = DiagnosticCode.MALFORMED_ARGUMENTS
CUT = DiagnosticCode.TRUNCATED_TAIL
STRAY = DiagnosticCode.STRAY_TEXT
MANY = DiagnosticCode.TOO_MANY_OPERATIONS
SAME = DiagnosticCode.REPEATED_OPERATION
CLIP = DiagnosticCode.RANGE_CLIPPED


@dataclass(frozen=True)
class Extreme:
    """An answer of about n characters, and the finding about its first million characters.

    `code` is None where the length is all that is wrong: white space, comments, fences.
    """

    name: str
    make: Callable[[int], str]
    code: DiagnosticCode | None


def over(name: str, piece: str, code: DiagnosticCode | None, before: str = "") -> Extreme:
    """Return an extreme that repeats a piece behind a beginning."""
    return Extreme(name, lambda n: before + piece * (n // len(piece)), code)


# Every kind of character that the lexer or another reader distinguishes.
CHARACTERS = {
    "letters": "a",
    "underscores": "_",
    "digits": "7",
    "minus signs": "-",
    "dots": ".",
    "spaces": " ",
    "tabs": "\t",
    "carriage returns": "\r",
    "line breaks": "\n",
    "double quotes": '"',
    "single quotes": "'",
    "backslashes": "\\",
    "opening parentheses": "(",
    "closing parentheses": ")",
    "commas": ",",
    "semicolons": ";",
    "equals signs": "=",
    "number signs": "#",
    "back-ticks": "`",
    "NUL": "\0",
    "accented letters": "é",
    "line separators": "\u2028",
    "lone surrogates": "\ud800",
}
# Pieces that are ignored between calls, in any number.
SILENT = {
    "spaces",
    "tabs",
    "carriage returns",
    "line breaks",
    "commas",
    "semicolons",
    "number signs",
    "back-ticks",
    "line separators",
}
# After an opening parenthesis the call may continue like this, so the cut is the only error.
OPEN_END = {
    "double quotes",
    "single quotes",
    "spaces",
    "tabs",
    "carriage returns",
    "line breaks",
    "line separators",
    "letters",
    "underscores",
    "digits",
}

EXTREMES = [
    *(over(f"{name}", c, None if name in SILENT else STRAY) for name, c in CHARACTERS.items()),
    *(
        over(f"{name} in a call", c, CUT if name in OPEN_END else BAD, "remove_lines(")
        for name, c in CHARACTERS.items()
    ),
    *(over(f"{name} in a string", c, CUT, 'normalize(source_str="') for name, c in CHARACTERS.items()),
    over("one operation", "remove_lines(0, 0)\n", SAME),
    Extreme("different operations", lambda n: "".join(f"remove_lines({line})\n" for line in range(n // 21)), MANY),
    Extreme(
        "different replacements",
        lambda n: "".join(f'normalize(source_str="w{i}", target_str="{i}")\n' for i in range(n // 50)),
        MANY,
    ),
    over("digits of a line number", "9", CUT, "remove_lines(0,"),
    # The last one closes the call; all others are part of the string.
    over("closing quotes", '")', None, 'normalize("'),
    over("almost ends", '" ,  ', CUT, 'normalize(source="'),
    over("calls in a string", '"); remove_lines ', BAD, 'normalize("'),
    over("spaces after quotes", '"' + " " * 1000, CUT, 'normalize("'),
    over("nested quotes", "\"'", CUT, 'normalize("'),
    over("open calls", "remove_lines(", BAD),
    over("open calls over lines", "remove_lines(\n     ", BAD),
    over("open strings over lines", 'normalize("\n', BAD),
    over("bare names", "remove_lines ", STRAY),
    over("bad calls", "remove_lines(x) ", BAD),
    over("unknown calls", "a()\n", DiagnosticCode.UNKNOWN_OPERATION),
    over("arguments", "1,", BAD, "remove_lines("),
    over("fences", "```a ", None),
    over("fences over lines", "```python\n", None),
    over("fenced calls", "```\nremove_lines(1)\n```\n", SAME),
    over("stray text and comments", "x\n#", STRAY),
    over("verdicts", "keep_doc()\n", SAME),
]
