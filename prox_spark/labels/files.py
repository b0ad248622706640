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
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prox_spark.errors import LabelError
from prox_spark.labels.label import Label, removing
from prox_spark.labels.rubric import is_worth_keeping
from prox_spark.programs import Operation, OpName, induce

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
    label_set = (
        path.parent.name if path.name.startswith(("train.", "validation.", "test.")) else path.name.split(".")[0]
    )
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield from _labels(line, f"{path}:{number}", label_set, number)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise LabelError(f"can't read labels from {path}: {error}") from error


def write_labels(path: Path, labels: Iterable[Label]) -> int:
    """Writes labels as `read_labels` reads them, plain or .gz. Returns their number."""
    n_labels = 0
    with gzip.open(path, "wt", encoding="utf-8") if path.suffix == ".gz" else path.open("w", encoding="utf-8") as lines:
        for label in labels:
            lines.write(json.dumps(asdict(label), ensure_ascii=False) + "\n")
            n_labels += 1
    return n_labels


def _labels(line: str, place: str, label_set: str, number: int) -> Iterator[Label]:
    try:
        row = json.loads(line)
        read = next((read for columns, read in _SHAPES if columns <= row.keys()), None)
        if read is None:
            raise ValueError(f"it has the columns {', '.join(row)}")
        fields = read(row)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        shapes = " / ".join("+".join(sorted(columns)) for columns, _ in _SHAPES)
        raise LabelError(f"{place} is no label: {error}. Accepted columns: {shapes}") from error
    if fields is not None:
        label_id = str(row.get("label_id") or row.get("id") or f"{label_set}-{number}")
        yield Label(label_id, str(row.get("label_set") or label_set), **fields)


def _exported(row: Row) -> dict[str, Any]:
    ops = row.get("ops")
    return {
        "text": row["text"],
        "first_line": row.get("first_line") or 0,
        "keep": row.get("keep"),
        "edu": row.get("edu"),
        "format": row.get("format"),
        "ops": None if ops is None else read_operations(ops),
    }


def _annotated(row: Row) -> dict[str, Any]:
    first_line = int(row.get("line_start") or 0)
    edu, form = row.get("edu"), row.get("format")
    return {
        "text": _NUMBER.sub("", row["window"]),
        "first_line": first_line,
        # The scores are about the beginning of a document.
        "keep": None if first_line or edu is None or form is None else is_worth_keeping(edu, form),
        "edu": edu,
        "format": form,
        "ops": read_operations(row["ops"]),
    }


def _flagged(row: Row) -> dict[str, Any]:
    lines, keep = row["lines"], row["keep"]
    if len(lines) != len(keep):
        raise ValueError(f"{len(lines)} lines and {len(keep)} flags")
    return {"text": "\n".join(lines), "ops": removing([not stays for stays in keep])}


def _judged(row: Row) -> dict[str, Any]:
    return {"text": row["text"], "keep": bool(row["good"])}


def _paired(row: Row) -> dict[str, Any] | None:
    induction = induce(row["raw"], row["clean"])
    if not induction.exact_but_white_space:
        return None
    return {"text": row["raw"], "ops": tuple(op for op in induction.program.ops if op.op is not OpName.KEEP_CHUNK)}


def read_operations(ops: Iterable[Row]) -> tuple[Operation, ...]:
    """Operations out of mappings with their fields, absent ones None."""
    return tuple(
        Operation(
            OpName(op["op"]), op.get("line_start"), op.get("line_end"), op.get("source_str"), op.get("target_str")
        )
        for op in ops
    )


# By the columns that only this shape has, the most telling first.
_SHAPES: tuple[tuple[set[str], Callable[[Row], dict[str, Any] | None]], ...] = (
    ({"window", "ops"}, _annotated),
    ({"lines", "keep"}, _flagged),
    ({"raw", "clean"}, _paired),
    ({"text", "good"}, _judged),
    ({"text", "ops"}, _exported),
    ({"text", "keep"}, _exported),
)
