"""Tables and before/after views on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_CELL = 80
_CONTEXT = 2


def console() -> Console:
    """Standard output. A pipe or a file is taken for 140 columns wide instead of 80, so that tables stay readable."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=140)


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table of rows; long cells are cut, control characters shown as blanks."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    n_rows = 0
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
        n_rows += 1
    console().print(table)
    print(f"({n_rows} row{'' if n_rows == 1 else 's'})")


def print_before_after(
    title: str, before: str, after: str, removed: Iterable[Mapping[str, int]], max_lines: int = 24
) -> None:
    r"""A document's lines beside what is left of them; removed lines carry a minus sign, changed ones a tilde.

    Args:
        title: printed above.
        before: the raw text.
        after: the refined text; its lines are the lines of `before` that stay, in order.
        removed: spans with line_start and line_end, both included.
        max_lines: lines shown; those around an edit come first.
    """
    gone = {line for span in removed for line in range(span["line_start"], span["line_end"] + 1)}
    kept = iter(after.split("\n"))
    lines = [
        (number, line, None if number in gone else next(kept, "")) for number, line in enumerate(before.split("\n"))
    ]
    edited = [number for number, line, left in lines if left is None or left != line]
    near = {shown for number in edited for shown in range(number - _CONTEXT, number + _CONTEXT + 1)}
    shown = [line for line in lines if line[0] in near][:max_lines]

    table = Table(box=box.SIMPLE_HEAD, title=Text(title), title_justify="left", expand=True, pad_edge=False)
    table.add_column("line", justify="right", width=4)
    table.add_column("before", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("after", ratio=1, no_wrap=True, overflow="ellipsis")
    previous = -1
    for number, line, left in shown:
        if number != previous + 1:
            table.add_row("…", "", "")
        previous = number
        mark, style = ("- ", "red") if left is None else ("~ ", "yellow") if left != line else ("  ", "")
        table.add_row(
            str(number), Text(mark + _one_line(line), style=style), Text("" if left is None else _one_line(left))
        )
    if previous + 1 < len(lines):
        table.add_row("…", "", "")
    console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    value = value.asDict() if hasattr(value, "asDict") else value
    text = f"{value:,.3f}" if isinstance(value, float) else _one_line(str(value))
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
