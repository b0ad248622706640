from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from prox_spark.errors import LabelError
from prox_spark.labels import (
    Label,
    estimate_verdict_doubt,
    find_removed_lines,
    is_worth_keeping,
    make_removals,
    read_labels,
)
from prox_spark.programs import Operation, OpName

pytestmark = pytest.mark.unit

REMOVE = OpName.REMOVE_LINES


def read(path: Path, *rows: dict[str, Any] | str) -> list[Label]:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return list(read_labels(path))


def test_annotated_window_keeps_the_numbers_of_its_document(tmp_path: Path) -> None:
    ops = [
        {"op": "remove_lines", "line_start": 7, "line_end": 7},
        {"op": "normalize", "source_str": "a\u00a0b", "target_str": ""},
    ]
    window = "[006]Text with [001] in it\n[007]Menu"
    (label,) = read(
        tmp_path / "w.jsonl", {"id": "x", "line_start": 6, "window": window, "edu": 5, "format": 5, "ops": ops}
    )
    assert label.text == "Text with [001] in it\nMenu"
    assert (label.first_line, label.line_numbers, label.removed_lines) == (6, range(6, 8), {7})
    assert label.ops is not None and label.ops[1].source_str == "a\u00a0b"
    assert label.keep is None, "scores of a window that does not begin its document are not the document's"


@pytest.mark.parametrize(
    ("edu", "form", "keep"), [(5, 0, True), (3, 0, True), (2, 4, True), (2, 3, False), (1, 5, False), (0, 0, False)]
)
def test_scores_of_a_first_window_become_the_rubrics_verdict(tmp_path: Path, edu: int, form: int, keep: bool) -> None:
    row = {"id": "x", "line_start": 0, "window": "[000]Text", "edu": edu, "format": form, "ops": []}
    (label,) = read(tmp_path / "w.jsonl", row)
    assert label.keep is keep is is_worth_keeping(edu, form)
    assert label.ops == ()


@pytest.mark.parametrize(
    ("edu", "form", "doubt"),
    [
        (5, 0, 0.0),  # one off, and still a 4
        (3, 0, 0.2),  # a 2 of poor format
        (3, 4, 0.2 * 0.2),  # a 2 whose format is a 3: both one lower
        (2, 3, 0.2 + 0.6 * 0.2),  # a 3, or a 2 whose format is a 4
        (2, 4, 0.2 + 0.6 * 0.2),  # a 1, or a 2 whose format is a 3
        (1, 3, 0.2 * 0.2),  # a 2 whose format is a 4
        (0, 5, 0.0),
    ],
)
def test_a_verdict_is_as_doubtful_as_its_scores_are_close_to_the_rubrics_border(
    edu: int, form: int, doubt: float
) -> None:
    assert estimate_verdict_doubt(edu, form, noise=0.4) == pytest.approx(doubt)
    assert estimate_verdict_doubt(edu, form, noise=0) == 0


def test_line_flags_become_the_fewest_removals(tmp_path: Path) -> None:
    (label,) = read(tmp_path / "w.jsonl", {"id": "p", "lines": list("abcdef"), "keep": [0, 0, 1, 0, 1, 0]})
    assert label.text == "a\nb\nc\nd\ne\nf"
    assert label.ops == (Operation(REMOVE, 0, 1), Operation(REMOVE, 3, 3), Operation(REMOVE, 5, 5))
    assert label.keep is None


def test_pair_becomes_its_program_and_one_that_no_program_explains_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = {"raw": "Menu\nA sentence.", "clean": "A sentence."}
    rewritten = {"raw": "A sentence.", "clean": "Words that were never there."}
    unchanged = {"raw": "A sentence.", "clean": "A sentence."}
    labels = read(tmp_path / "pairs.jsonl", pair, rewritten, unchanged)
    assert [label.ops for label in labels] == [(Operation(REMOVE, 0, 0),), ()]
    assert [label.label_id for label in labels] == ["pairs-1", "pairs-3"]
    assert "pairs.jsonl: 1 pairs are no labels" in caplog.text


def test_judged_document_has_a_verdict_and_no_program(tmp_path: Path) -> None:
    good, bad = read(tmp_path / "d.jsonl", {"text": "a", "good": 1}, {"text": "b", "good": 0})
    assert (good.keep, bad.keep, good.ops) == (True, False, None)


def test_split_files_are_named_by_their_folder_and_read_compressed(tmp_path: Path) -> None:
    path = tmp_path / "pages" / "train.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(b'{"text": "a", "keep": true}\n\n'))
    (label,) = read_labels(path)
    assert (label.label_set, label.keep, label.ops) == ("pages-train", True, None)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{"text": "a"}', "columns text"),
        ("{", "Expecting"),
        ('{"id": 1, "lines": ["a"], "keep": [1, 0]}', "1 lines and 2 flags"),
        ('{"window": "[000]a", "ops": [{"op": "explode"}]}', "explode"),
        ('{"window": null, "ops": []}', "no label"),
        ("[1]", "no label"),
        ('{"text": null, "ops": []}', "text is None"),
        ('{"text": "a", "keep": "false"}', "'false'"),
        ('{"text": "a", "good": 2}', "good is 2"),
        ('{"lines": ["a\\nb"], "keep": [1]}', "line breaks"),
        ('{"text": "a", "ops": [{"op": "remove_lines", "line_start": "0", "line_end": 0}]}', "whole numbers"),
        ('{"text": "a", "ops": [{"op": "normalize", "source_str": "a"}]}', "two strings"),
        ('{"text": "a", "ops": [], "first_line": -1}', "first line is number -1"),
        ('{"window": "a", "ops": [], "line_start": 2000000}', "first line is number 2000000"),
    ],
)
def test_row_that_is_no_label_is_named_with_its_line_and_what_is_accepted(
    tmp_path: Path, row: str, problem: str
) -> None:
    with pytest.raises(LabelError, match=r"bad\.jsonl:2") as raised:
        read(tmp_path / "bad.jsonl", '{"text": "a", "keep": true}', row)
    assert problem in str(raised.value) and "ops+window" in str(raised.value)


def test_file_that_is_not_there_or_not_whole_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"absent\.jsonl"):
        list(read_labels(tmp_path / "absent.jsonl"))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b'{"text": "a", "keep": true}\n' * 50)[:-12])
    with pytest.raises(LabelError, match=r"cut\.jsonl\.gz"):
        list(read_labels(cut))


def test_removals_and_flags_are_each_others_inverse() -> None:
    flags = [True, False, True, True]
    assert find_removed_lines(make_removals(flags, 5), range(5, 9)) == {5, 7, 8}
    assert find_removed_lines([Operation(REMOVE, 0, 10**9)], range(5, 9)) == {5, 6, 7, 8}, "ranges are cut to the lines"


def test_removal_without_lines_removes_them_all(tmp_path: Path) -> None:
    (label,) = read(tmp_path / "a.jsonl", {"text": "a\nb", "first_line": 3, "ops": [{"op": "remove_lines"}]})
    assert label.removed_lines == {3, 4}
