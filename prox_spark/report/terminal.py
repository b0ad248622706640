"""Tables and before/after views on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NoReturn

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Rows of one table. All of them are in memory, because a column is as wide as its longest cell.
PAGE_ROWS = 1_000
_CELL = 80
_CONTEXT = 2


class _Console(Console):
    """A console that raises broken-pipe errors, so that the command decides what happens."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise the error again. Rich would end the process with status 1."""
        raise


def make_console() -> Console:
    """Return a console on standard output. A pipe or a file is 140 columns wide instead of 80, so that tables stay readable."""
    plain = _Console(highlight=False)
    return plain if plain.is_terminal else _Console(highlight=False, width=140)


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]], limit: int | None = None) -> None:
    """Print rows as tables of at most `PAGE_ROWS`, and their number. Long cells are cut, control characters shown as blanks.

    Args:
        columns: names of the columns.
        rows: read one page at a time.
        limit: number of rows to print; None prints all.
    """
    rows = iter(rows)
    chosen, n_rows = islice(rows, limit), 0
    while True:
        page = list(islice(chosen, PAGE_ROWS))
        if page or not n_rows:  # Without rows, the names of the columns are still printed.
            make_console().print(_make_table(columns, page))
        n_rows += len(page)
        if len(page) < PAGE_ROWS:
            break
    has_more = limit is not None and next(rows, None) is not None
    more = ", and there are more: --limit N prints N of them, --limit 0 all" if has_more else ""
    print(f"({n_rows} row{'' if n_rows == 1 else 's'}{more})")


def _make_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_format_cell(value)) for value in row))
    return table


def print_before_after(
    title: str, before: str, after: str, removed: Iterable[Mapping[str, int]], max_lines: int = 24
) -> None:
    r"""Print a document's lines beside what is left of them. Removed lines carry a minus sign, changed ones a tilde.

    Args:
        title: printed above.
        before: the raw text.
        after: the refined text; its lines are the lines of `before` that stay, in order.
        removed: spans with line_start and line_end, both included.
        max_lines: number of lines to show, of those near an edit.
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
            str(number),
            Text(mark + _replace_controls(line), style=style),
            Text("" if left is None else _replace_controls(left)),
        )
    if previous + 1 < len(lines):
        table.add_row("…", "", "")
    make_console().print(table)


def _format_cell(value: Any) -> str:
    if value is None:
        return ""
    value = value.asDict() if hasattr(value, "asDict") else value
    text = f"{value:,.3f}" if isinstance(value, float) else _replace_controls(str(value))
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _replace_controls(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
