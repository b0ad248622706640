from __future__ import annotations

import re

import pytest

from prox_spark.report.terminal import print_before_after, print_rows

pytestmark = pytest.mark.unit

Capture = pytest.CaptureFixture[str]
PAGE = "\n".join(f"line {number}" for number in range(40))


def read_lines(capsys: Capture) -> list[str]:
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def read_numbers(lines: list[str]) -> list[int]:
    return [int(found.group(1)) for line in lines if (found := re.match(r" *(\d+) ", line))]


def find_row(lines: list[str], number: int) -> str:
    return next(line for line in lines if re.match(rf" *{number} ", line))


def test_rows_stand_below_their_columns(capsys: Capture) -> None:
    print_rows(["status", "n"], [("edited", 12), ("dropped_doc", 3)])
    lines = [line.split() for line in read_lines(capsys) if line.strip("─ ")]
    assert lines == [["status", "n"], ["edited", "12"], ["dropped_doc", "3"], ["(2", "rows)"]]


@pytest.mark.parametrize(("n", "said"), [(0, "(0 rows)"), (1, "(1 row)"), (2, "(2 rows)")])
def test_the_number_of_rows_is_said(n: int, said: str, capsys: Capture) -> None:
    print_rows(["a"], [("x",)] * n)
    assert read_lines(capsys)[-1] == said


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (0.5, "0.500"),
        (1234.5678, "1,234.568"),
        (1234, "1234"),
        (True, "True"),
        ("a\nb\tc\x1b[31md", "a b c [31md"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ([1, 2], "[1, 2]"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
    ],
)
def test_a_cell_is_one_short_line_as_it_is(value: object, cell: str, capsys: Capture) -> None:
    print_rows(["column"], [(value,)])
    assert read_lines(capsys)[3].removeprefix(" ") == cell


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (3, "(3 rows)"),
        (4, "(3 rows, and there are more: --limit N prints N of them, --limit 0 all)"),
    ],
)
def test_a_limit_says_whether_there_are_more_rows(n: int, said: str, capsys: Capture) -> None:
    print_rows(["a"], [("x",)] * n, limit=3)
    lines = read_lines(capsys)
    assert sum(line.strip() == "x" for line in lines) == 3 and lines[-1] == said


def test_no_more_rows_are_read_than_one_beyond_the_limit(capsys: Capture) -> None:
    rows = iter(range(10))
    print_rows(["a"], ((n,) for n in rows), limit=3)
    assert list(rows) == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(("n", "tables"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (2000, 2), (2500, 3)])
def test_many_rows_are_printed_page_by_page(n: int, tables: int, capsys: Capture) -> None:
    print_rows(["head"], [("x",)] * n)
    lines = read_lines(capsys)
    assert sum(line.strip() == "head" for line in lines) == tables
    assert sum(line.strip() == "x" for line in lines) == n


def test_a_pipe_is_wide_enough_for_a_long_cell(capsys: Capture) -> None:
    print_rows(["a", "b"], [("x" * 60, "y" * 60)])
    assert any("x" * 60 in line and "y" * 60 in line for line in read_lines(capsys))


def test_removed_changed_and_kept_lines_have_their_marks(capsys: Capture) -> None:
    before, after = "stays\ngoes\nis old", "stays\nis new"
    print_before_after("doc-1", before, after, [{"line_start": 1, "line_end": 1}])
    lines = read_lines(capsys)
    assert find_row(lines, 0).split() == ["0", "stays", "stays"]
    assert find_row(lines, 1).split() == ["1", "-", "goes"]
    assert find_row(lines, 2).split() == ["2", "~", "is", "old", "is", "new"]


def test_the_title_stands_above(capsys: Capture) -> None:
    print_before_after("doc-1: 5 words, 4 left", "a\nb", "a", [{"line_start": 1, "line_end": 1}])
    assert read_lines(capsys)[0] == "doc-1: 5 words, 4 left"


def test_a_title_with_brackets_is_shown_as_it_is(capsys: Capture) -> None:
    print_before_after("http://x.org/?q=[/b]", "a\nb", "a", [{"line_start": 1, "line_end": 1}])
    assert read_lines(capsys)[0] == "http://x.org/?q=[/b]"


def test_the_name_of_a_column_is_shown_as_it_is(capsys: Capture) -> None:
    print_rows(["split(text, [/b])[line]"], [(1,)])
    assert "split(text, [/b])[line]" in capsys.readouterr().out


def test_every_line_of_a_span_is_removed(capsys: Capture) -> None:
    print_before_after("t", "a\nb\nc\nd", "a", [{"line_start": 1, "line_end": 2}, {"line_start": 3, "line_end": 3}])
    assert [find_row(read_lines(capsys), 3).split()[1]] == ["-"]


def test_lines_around_an_edit_are_shown_and_those_far_away_are_not(capsys: Capture) -> None:
    after = "\n".join(line for line in PAGE.split("\n") if line != "line 10")
    print_before_after("t", PAGE, after, [{"line_start": 10, "line_end": 10}])
    lines = read_lines(capsys)
    assert read_numbers(lines) == [8, 9, 10, 11, 12]
    assert sum("…" in line for line in lines) == 2


def test_no_gap_is_shown_where_the_first_and_last_lines_are(capsys: Capture) -> None:
    print_before_after("t", "a\nb", "b", [{"line_start": 0, "line_end": 0}])
    assert not any("…" in line for line in read_lines(capsys))


def test_no_more_lines_than_asked_for_are_shown(capsys: Capture) -> None:
    print_before_after("t", PAGE, "line 0", [{"line_start": 1, "line_end": 39}], max_lines=5)
    assert read_numbers(read_lines(capsys)) == [0, 1, 2, 3, 4]


def test_a_long_line_is_cut_to_the_width(capsys: Capture) -> None:
    print_before_after("t", "x" * 500 + "\nb", "x" * 500, [{"line_start": 1, "line_end": 1}])
    assert all(len(line) <= 140 for line in read_lines(capsys))


def test_control_characters_of_a_page_are_blanks(capsys: Capture) -> None:
    print_before_after("t", "a\x1b[31mb\x07\nc", "a\x1b[31mb\x07", [{"line_start": 1, "line_end": 1}])
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\x07" not in out and "a [31mb" in out


def test_markup_of_a_page_is_shown_as_it_is(capsys: Capture) -> None:
    print_before_after("t", "[/b] [red]x\nc", "[/b] [red]x", [{"line_start": 1, "line_end": 1}])
    assert find_row(read_lines(capsys), 0).split() == ["0", "[/b]", "[red]x", "[/b]", "[red]x"]
