"""Labels as JSON Lines: several shapes of rows are read, one is written.

| columns | meaning of a row |
|---|---|
| `text`, `ops` and/or `keep` | a label as `prox-spark annotate` exports it |
| `window`, `ops`, optionally `edu`, `format` | numbered lines with a teacher's operations; scores if they begin a document |
| `lines`, `keep` | a page as lines, and for each line 1 (keep) or 0 (remove) |
| `text`, `good` | a document and a person's judgement of it: 1 (keep) or 0 (drop) |
| `raw`, `clean` | a text before and after cleaning; its program is induced |
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TextIO, TypeAlias

from prox_spark.errors import LabelError
from prox_spark.labels.label import Label, make_removals
from prox_spark.labels.rubric import is_worth_keeping
from prox_spark.programs import Operation, OpName, induce

LOG = logging.getLogger(__name__)
_SPLITS = ("train", "validation", "test")
# `evaluate` puts this many empty lines in front of the text.
_MAX_FIRST_LINE = 1_000_000
_NUMBER = re.compile(r"^\[\d{3,}\]", re.MULTILINE)
Row = Mapping[str, Any]
Opener: TypeAlias = Callable[[str], AbstractContextManager[BinaryIO]]


def _open_local(path: str) -> BinaryIO:
    return open(path, "rb")


def read_labels(place: str | Path, open_file: Opener = _open_local) -> Iterator[Label]:
    """Read a file of labels, plain or .gz.

    Args:
        place: path of the file, or whatever else `open_file` takes.
        open_file: opens the bytes of the file as stored; by default it is a file of this machine.

    Yields:
        One label per row. A pair is skipped if its program does not produce the clean text (white space aside): it
        would teach half of an edit.

    Raises:
        LabelError: the file can't be read, or a row has none of the shapes; the message names file and line.
    """
    path = PurePosixPath(place)
    name = path.name.split(".")[0]
    # Each split is a label set of its own: training and held-out labels may share ids.
    label_set = f"{path.parent.name}-{name}" if name in _SPLITS else name
    n_skipped = 0
    try:
        with open_file(str(place)) as raw:
            for number, line in enumerate(_decode(raw, path.suffix), 1):
                if line.strip():
                    label = _read_label(line, f"{place}:{number}", label_set, number)
                    if label:
                        yield label
                    else:
                        n_skipped += 1
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise LabelError(f"can't read labels from {place}: {error}") from error
    if n_skipped:
        LOG.warning("%s: %d pairs are no labels, as no program leads from one text to the other", place, n_skipped)


def write_labels(path: Path, labels: Iterable[Label]) -> int:
    """Write labels in the first shape, plain or .gz, and return their number."""
    n_labels = 0
    opener: Callable[..., TextIO] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as lines:
        for label in labels:
            lines.write(json.dumps(asdict(label), ensure_ascii=False) + "\n")
            n_labels += 1
    return n_labels


def _decode(raw: BinaryIO, suffix: str) -> TextIO:
    return io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if suffix == ".gz" else raw, encoding="utf-8")


def _read_label(line: str, place: str, label_set: str, number: int) -> Label | None:
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


def _read_exported(row: Row) -> dict[str, Any]:
    text, first_line = _check_text(row["text"]), _check_line_number(row.get("first_line"))
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


def _read_window(row: Row) -> dict[str, Any]:
    first_line = _check_line_number(row.get("line_start"))
    edu, form, text = row.get("edu"), row.get("format"), _NUMBER.sub("", row["window"])
    return {
        "text": text,
        "first_line": first_line,
        # Scores are given for the beginning of a document only.
        "keep": None if first_line or edu is None or form is None else is_worth_keeping(edu, form),
        "edu": edu,
        "format": form,
        "ops": read_operations(row["ops"], text, first_line),
    }


def _check_line_number(value: Any) -> int:
    number = int(value or 0)
    if not 0 <= number <= _MAX_FIRST_LINE:
        raise ValueError(f"its first line is number {number}, which is not from 0 to {_MAX_FIRST_LINE:,}")
    return number


def _read_flags(row: Row) -> dict[str, Any]:
    lines, keep = row["lines"], row["keep"]
    if len(lines) != len(keep):
        raise ValueError(f"{len(lines)} lines and {len(keep)} flags")
    if any("\n" in line for line in lines) or not all(flag in (0, 1) for flag in keep):
        raise ValueError("lines without line breaks and flags of 0 or 1 are needed")
    return {"text": "\n".join(lines), "ops": make_removals([not stays for stays in keep])}


def _read_judgement(row: Row) -> dict[str, Any]:
    if row["good"] not in (0, 1):
        raise ValueError(f"good is {row['good']!r}, not 0 or 1")
    return {"text": _check_text(row["text"]), "keep": bool(row["good"])}


def _check_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text is {value!r}")
    return value


def _read_pair(row: Row) -> dict[str, Any] | None:
    induction = induce(row["raw"], row["clean"])
    if not induction.exact_but_white_space:
        return None
    return {"text": row["raw"], "ops": tuple(op for op in induction.program.ops if op.op is not OpName.KEEP_CHUNK)}


def read_operations(ops: Iterable[Row], text: str, first_line: int = 0) -> tuple[Operation, ...]:
    """Read operations from mappings of their fields; an absent field is None.

    Args:
        ops: the mappings; a removal without lines removes all of them, as in a program.
        text: the text that they edit.
        first_line: number of its first line.

    Raises:
        ValueError, KeyError: an operation is unknown or lacks a field that it needs.
    """
    return tuple(_read_operation(op, (first_line, first_line + text.count("\n"))) for op in ops)


def _read_operation(op: Row, all_lines: tuple[int, int]) -> Operation:
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


# The columns that identify each shape, the most specific first.
_SHAPES: tuple[tuple[set[str], Callable[[Row], dict[str, Any] | None]], ...] = (
    ({"window", "ops"}, _read_window),
    ({"lines", "keep"}, _read_flags),
    ({"raw", "clean"}, _read_pair),
    ({"text", "good"}, _read_judgement),
    ({"text", "ops"}, _read_exported),
    ({"text", "keep"}, _read_exported),
)
