"""Labels as JSON Lines: read in each of the shapes that they come in, written in one of them.

| columns | what a row is |
|---|---|
| `text`, `ops` and/or `keep` | a label as `prox-spark annotate` exports it |
| `window`, `ops`, optionally `edu` and `format` | numbered lines that a teacher wrote operations for, scores if it begins a document |
| `lines`, `keep` | a page as lines, and 1 or 0 for each: stay or go |
| `text`, `good` | a document that people found good or not |
| `raw`, `clean` | a text before and after cleaning; the program between them is induced |
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TextIO

from prox_spark.errors import LabelError
from prox_spark.labels.label import Label, make_removals
from prox_spark.labels.rubric import is_worth_keeping
from prox_spark.programs import Operation, OpName, induce

LOG = logging.getLogger(__name__)
_SPLITS = ("train", "validation", "test")
# `evaluate` makes so many empty lines in front of the text.
_MAX_FIRST_LINE = 1_000_000
_NUMBER = re.compile(r"^\[\d{3,}\]", re.MULTILINE)
Row = Mapping[str, Any]


def read_labels(path: Path) -> Iterator[Label]:
    """Reads a file of labels, plain or .gz.

    Yields:
        One label per row. A pair whose program does not lead to the clean text (to within white space) is passed over:
        it would teach half of an edit.

    Raises:
        LabelError: the file can't be read, or a row has none of the shapes; the message names file and line.
    """
    name = path.name.split(".")[0]
    # A split is a set of its own: what is trained on and what is held out may have the same ids.
    label_set = f"{path.parent.name}-{name}" if name in _SPLITS else name
    n_passed_over = 0
    try:
        with _opened(path, "r") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    label = _label(line, f"{path}:{number}", label_set, number)
                    if label:
                        yield label
                    else:
                        n_passed_over += 1
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise LabelError(f"can't read labels from {path}: {error}") from error
    if n_passed_over:
        LOG.warning("%s: %d pairs are no labels, as no program leads from one text to the other", path, n_passed_over)


def write_labels(path: Path, labels: Iterable[Label]) -> int:
    """Writes labels as `read_labels` reads them, plain or .gz. Returns their number."""
    n_labels = 0
    with _opened(path, "w") as lines:
        for label in labels:
            lines.write(json.dumps(asdict(label), ensure_ascii=False) + "\n")
            n_labels += 1
    return n_labels


def _opened(path: Path, mode: Literal["r", "w"]) -> TextIO:
    opener: Callable[..., TextIO] = gzip.open if path.suffix == ".gz" else open
    return opener(path, f"{mode}t", encoding="utf-8")


def _label(line: str, place: str, label_set: str, number: int) -> Label | None:
    try:
        row = json.loads(line)
        read = next((read for columns, read in _SHAPES if columns <= row.keys()), None)
        if read is None:
            raise ValueError(f"it has the columns {', '.join(row)}")
        fields = read(row)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        shapes = " / ".join("+".join(sorted(columns)) for columns, _ in _SHAPES)
        raise LabelError(f"{place} is no label: {error}. Accepted columns: {shapes}") from error
    if fields is None:
        return None
    label_id = str(row.get("label_id") or row.get("id") or f"{label_set}-{number}")
    return Label(label_id, str(row.get("label_set") or label_set), **fields)


def _exported(row: Row) -> dict[str, Any]:
    text, first_line = _text(row["text"]), _line_number(row.get("first_line"))
    keep, ops = row.get("keep"), row.get("ops")
    if not (keep is None or isinstance(keep, bool)):
        raise ValueError(f"keep is {keep!r}, not true or false")
    return {
        "text": text,
        "first_line": first_line,
        "keep": keep,
        "edu": row.get("edu"),
        "format": row.get("format"),
        "ops": None if ops is None else read_operations(ops, text, first_line),
    }


def _annotated(row: Row) -> dict[str, Any]:
    first_line = _line_number(row.get("line_start"))
    edu, form, text = row.get("edu"), row.get("format"), _NUMBER.sub("", row["window"])
    return {
        "text": text,
        "first_line": first_line,
        # The scores are about the beginning of a document.
        "keep": None if first_line or edu is None or form is None else is_worth_keeping(edu, form),
        "edu": edu,
        "format": form,
        "ops": read_operations(row["ops"], text, first_line),
    }


def _line_number(value: Any) -> int:
    number = int(value or 0)
    if not 0 <= number <= _MAX_FIRST_LINE:
        raise ValueError(f"its first line is number {number}, which is not from 0 to {_MAX_FIRST_LINE:,}")
    return number


def _flagged(row: Row) -> dict[str, Any]:
    lines, keep = row["lines"], row["keep"]
    if len(lines) != len(keep):
        raise ValueError(f"{len(lines)} lines and {len(keep)} flags")
    if any("\n" in line for line in lines) or not all(flag in (0, 1) for flag in keep):
        raise ValueError("lines without line breaks and flags of 0 or 1 are needed")
    return {"text": "\n".join(lines), "ops": make_removals([not stays for stays in keep])}


def _judged(row: Row) -> dict[str, Any]:
    if row["good"] not in (0, 1):
        raise ValueError(f"good is {row['good']!r}, not 0 or 1")
    return {"text": _text(row["text"]), "keep": bool(row["good"])}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text is {value!r}")
    return value


def _paired(row: Row) -> dict[str, Any] | None:
    induction = induce(row["raw"], row["clean"])
    if not induction.exact_but_white_space:
        return None
    return {"text": row["raw"], "ops": tuple(op for op in induction.program.ops if op.op is not OpName.KEEP_CHUNK)}


def read_operations(ops: Iterable[Row], text: str, first_line: int = 0) -> tuple[Operation, ...]:
    """Operations out of mappings with their fields, absent ones None.

    Args:
        ops: a removal without lines means all of them, as in a program.
        text: what they are about.
        first_line: number of its first line.

    Raises:
        ValueError, KeyError: there is no such operation, or it lacks what it needs.
    """
    return tuple(_operation(op, (first_line, first_line + text.count("\n"))) for op in ops)


def _operation(op: Row, all_lines: tuple[int, int]) -> Operation:
    name = OpName(op["op"])
    if name is OpName.REMOVE_LINES:
        lines = (op.get("line_start"), op.get("line_end"))
        start, end = all_lines if lines == (None, None) else lines
        if not (isinstance(start, int) and isinstance(end, int)):
            raise ValueError(f"remove_lines from {start!r} to {end!r}: whole numbers are needed")
        return Operation(name, start, end)
    if name is OpName.NORMALIZE:
        source, target = op.get("source_str"), op.get("target_str")
        if not (isinstance(source, str) and isinstance(target, str)):
            raise ValueError(f"normalize {source!r} to {target!r}: two strings are needed")
        return Operation(name, source_str=source, target_str=target)
    return Operation(name)


# By the columns that only this shape has, the most telling first.
_SHAPES: tuple[tuple[set[str], Callable[[Row], dict[str, Any] | None]], ...] = (
    ({"window", "ops"}, _annotated),
    ({"lines", "keep"}, _flagged),
    ({"raw", "clean"}, _paired),
    ({"text", "good"}, _judged),
    ({"text", "ops"}, _exported),
    ({"text", "keep"}, _exported),
)
