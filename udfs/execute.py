"""Applies programs to Arrow batches of documents: what is usual as byte ranges of the batch, what is not document by document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_type

from prox_spark import schemas
from prox_spark.programs import (
    ChunkProgram,
    Diagnostic,
    DiagnosticCode,
    DocumentStatus,
    Execution,
    Gates,
    Operation,
    OpName,
    Program,
    Verdict,
    execute_chunks,
)
from prox_spark.programs.operations import KEEPS, snippet
from prox_spark.programs.reference import run_reference_programs
from prox_spark.programs.strict import GROWTH_CHARS, MIN_SOURCE_CHARS
from udfs.edits import Flags, Lines, Numbers, Replacements, Spans, edit, words_of_lines
from udfs.words import count_words_of

# What an executor reads of a chunk: columns of `programs`, diagnostics are the parser's.
CHUNK: Final = T.StructType(
    [
        schemas.PROGRAMS.schema[name]
        for name in ("chunk_index", "line_start", "line_end", "generation_key", "ops", "diagnostics")
    ]
)
# What it says of a chunk: diagnostics are the parser's and its own.
VERDICT: Final = T.StructType(
    [
        schemas.PROGRAMS.schema["chunk_index"],
        schemas.PROGRAMS.schema["diagnostics"],
        schemas.PROGRAMS.schema["status"],
        T.StructField("reason", T.StringType()),
    ]
)
# What it says of a document.
EXECUTION: Final = T.StructType(
    [
        *(
            schemas.REFINED.schema[name]
            for name in ("text", "status", "words_before", "words_after", "removed", "normalized")
        ),
        T.StructField("verdicts", T.ArrayType(VERDICT)),
    ]
)
_EXECUTION: Final = to_arrow_type(EXECUTION)
_REMOVED: Final = _EXECUTION.field("removed").type
_NORMALIZED: Final = _EXECUTION.field("normalized").type
_VERDICTS: Final = _EXECUTION.field("verdicts").type

_CODES: Final = {str(code): code for code in DiagnosticCode}


@dataclass(frozen=True)
class ExecuteReference:
    """As the released executor does, one document after the other; arguments and result as of `ExecuteStrict`."""

    threshold_2: float
    error_op: int

    def __call__(self, texts: pa.Array, words_before: pa.Array, chunks: pa.Array) -> pa.Array:
        """Executes the programs of a batch."""
        return _one_by_one(texts, words_before, chunks, self.execute)

    def execute(self, text: str, _words_before: int | None, chunks: Sequence[ChunkProgram]) -> Execution:
        """Executes those of one document, whose words are counted another way."""
        return run_reference_programs(text, chunks, threshold_2=self.threshold_2, error_op=self.error_op)


@dataclass(frozen=True)
class ExecuteStrict:
    """Executes the programs of a document's chunks, each on its own lines; see `programs.execute_chunks`.

    Attributes:
        gates: when the outcome is not trusted.
    """

    gates: Gates

    def __call__(self, texts: pa.Array, words_before: pa.Array, chunks: pa.Array) -> pa.Array:
        """Executes the programs of a batch.

        Args:
            texts: strings.
            words_before: their words, as `count_words` counts them; null where nobody has.
            chunks: lists of `CHUNK`, their lines disjoint; null is none.

        Returns:
            Structs of `EXECUTION`.
        """
        batch = _Batch.of(texts, words_before, chunks)
        done = _Usual(batch, self.gates).outcome()
        odd = np.flatnonzero(batch.is_odd)
        if not len(odd):
            return done
        rows = pa.array(odd)
        words = pa.array(batch.words[odd])
        others = _one_by_one(texts.take(rows), words, chunks.take(rows), self.execute)
        order = np.arange(len(done))
        order[odd] = len(done) + np.arange(len(odd))
        return pa.concat_arrays([done, others]).take(pa.array(order))

    def execute(self, text: str, words_before: int | None, chunks: Sequence[ChunkProgram]) -> Execution:
        """Executes those of one document."""
        return execute_chunks(text, chunks, self.gates, words_before)


@dataclass
class _Batch:
    """Documents, their chunks and the operations of these, flat, each with the number of what it belongs to.

    Attributes:
        texts: of the documents.
        words: of the documents.
        lines: of the documents.
        is_odd: of the documents: True where something is found that asks for the long way.
        chunk_doc: number of a chunk's document.
        chunk_index: of the chunks; so are `first_line` and `last_line`, cut to lines that are there.
        op_chunk: number of an operation's chunk.
        op_doc: number of its document.
        op_index: its position in the program.
        ops: structs of `schemas.OPERATION`.
    """

    texts: pa.StringArray
    words: Numbers
    lines: Lines
    is_odd: Flags
    chunk_doc: Numbers
    chunk_index: pa.Array
    first_line: Numbers
    last_line: Numbers
    op_chunk: Numbers
    op_doc: Numbers
    op_index: Numbers
    ops: pa.StructArray

    @classmethod
    def of(cls, texts: pa.Array, words_before: pa.Array, chunks: pa.Array) -> _Batch:
        """Lay a batch out. A document without words has no chunks: it is empty, whatever its programs say."""
        words = _numbers(words_before)
        if unknown := words_before.null_count:
            rows = np.flatnonzero(_true(words_before.is_null()))
            words[rows] = count_words_of(texts.take(pa.array(rows)) if unknown < len(texts) else texts)
        chunks = pc.if_else(pa.array(words > 0), chunks, pa.scalar(None, chunks.type))
        lines = Lines(texts)
        chunk_doc, chunk = _flat(chunks)
        op_chunk, ops = _flat(pc.struct_field(chunk, "ops"))
        n_findings = pc.fill_null(pc.list_value_length(pc.struct_field(chunk, "diagnostics")), 0)
        starts, ends = pc.struct_field(chunk, "line_start"), pc.struct_field(chunk, "line_end")
        is_odd = np.zeros(len(texts), np.bool_)
        is_odd[chunk_doc[_true(pc.or_(pc.greater(n_findings, 0), pc.or_(starts.is_null(), ends.is_null())))]] = True
        first_op = np.searchsorted(op_chunk, np.arange(len(chunk_doc)))
        return cls(
            texts,
            words,
            lines,
            is_odd,
            chunk_doc,
            pc.struct_field(chunk, "chunk_index"),
            np.maximum(_numbers(starts), 0),
            np.minimum(_numbers(ends), lines.n_lines[chunk_doc] - 1),
            op_chunk,
            chunk_doc[op_chunk],
            np.arange(len(op_chunk)) - first_op[op_chunk],
            ops,
        )

    def field(self, name: str) -> pa.Array:
        """Return a field of the operations."""
        return pc.struct_field(self.ops, name)

    def named(self, *names: OpName) -> Flags:
        """Say which operations have one of these names."""
        return _true(pc.is_in(self.field("op"), pa.array([str(name) for name in names])))


class _Usual:
    """The way of nearly all documents: chunks keep all, remove lines, each once, and replace strings that are there."""

    def __init__(self, batch: _Batch, gates: Gates) -> None:
        self.batch, self.gates = batch, gates
        removes, replaces, keeps = (
            batch.named(OpName.REMOVE_LINES),
            batch.named(OpName.NORMALIZE),
            batch.named(*KEEPS),
        )
        n_chunks = len(batch.chunk_doc)
        keeping = np.bincount(batch.op_chunk[keeps], minlength=n_chunks) > 0
        editing = np.bincount(batch.op_chunk[removes | replaces], minlength=n_chunks) > 0
        batch.is_odd[batch.chunk_doc[keeping & editing]] = True
        batch.is_odd[batch.op_doc[~(removes | replaces | keeps)]] = True
        self.removals = np.flatnonzero(removes)
        self._find_spans()
        self.replacements: list[tuple[int, int, int, bytes]] = []
        self.hits: list[tuple[int, int]] = []  # operation and how many
        self.changed_lines: list[tuple[int, bytes, bytes]] = []
        self.absent: list[int] = []  # operations whose string is not there
        self._find_replacements(np.flatnonzero(replaces))

    def _find_spans(self) -> None:
        batch, ops = self.batch, self.removals
        starts, ends = batch.field("line_start"), batch.field("line_end")
        first, last = _numbers(starts)[ops], _numbers(ends)[ops]
        chunk = batch.op_chunk[ops]
        is_inside = (batch.first_line[chunk] <= first) & (first <= last) & (last <= batch.last_line[chunk])
        is_inside &= ~_true(pc.or_(starts.is_null(), ends.is_null()))[ops]
        batch.is_odd[batch.op_doc[ops[~is_inside]]] = True
        spans = Spans(batch.op_doc[ops], first, last)
        spans = spans.where(~batch.is_odd[spans.text]).in_order()
        batch.is_odd[spans.overlapping()] = True
        self.spans = spans.where(~batch.is_odd[spans.text]).merged()

    def _find_replacements(self, ops: Numbers) -> None:
        """Look for the strings in the lines of the chunk that stay, which takes a look at each operation by itself."""
        batch = self.batch
        ops = ops[~batch.is_odd[batch.op_doc[ops]]]
        if not len(ops):
            return
        rows = pa.array(ops)
        sources, targets = (batch.field(name).take(rows).to_pylist() for name in ("source_str", "target_str"))
        chunks = batch.op_chunk[ops]
        begins = batch.lines.begin(batch.chunk_doc[chunks], batch.first_line[chunks]).tolist()
        ends = batch.lines.begin(batch.chunk_doc[chunks], batch.last_line[chunks] + 1).tolist()
        docs = batch.op_doc[ops].tolist()
        data = bytes(batch.lines.data)
        gone = self._removed_bytes()
        chunk_before, made = -1, _Made()
        for op, chunk, doc, source, target, begin, end in zip(
            ops.tolist(), chunks.tolist(), docs, sources, targets, begins, ends, strict=True
        ):
            if batch.is_odd[doc]:
                continue
            if chunk != chunk_before:
                chunk_before, made = chunk, _Made()
            hits = _hits(data, source, target, begin, end, gone.get(doc, ()), made)
            if hits is None or not self._replace(data, op, doc, source, target, hits, made):
                batch.is_odd[doc] = True

    def _replace(
        self, data: bytes, op: int, doc: int, source: str, target: str, hits: Sequence[int], made: _Made
    ) -> bool:
        """Note the replacements of an operation; False if an earlier one has changed the same line."""
        if not hits:
            self.absent.append(op)
            return True
        old, new = source.encode(), target.encode()
        self.hits.append((op, len(hits)))
        made.n_grown += max(0, len(hits) * (len(target) - len(source)))
        line_end = -1
        changed = {}
        lines = self.batch.lines
        text_begin, text_end = int(lines.offsets[doc]), int(lines.offsets[doc + 1])
        for hit in hits:
            self.replacements.append((doc, hit, hit + len(old), new))
            if hit < line_end:
                continue  # the line was looked at for an earlier hit
            line_begin = data.rfind(b"\n", text_begin, hit) + 1 or text_begin
            found = data.find(b"\n", hit, text_end)
            line_end = text_end if found < 0 else found
            line = data[line_begin:line_end]
            changed[line_begin] = line.replace(old, new)
            self.changed_lines.append((doc, line, changed[line_begin]))
        if changed.keys() & made.lines.keys():
            return False
        made.lines |= changed
        return True

    def _removed_bytes(self) -> dict[int, list[tuple[int, int]]]:
        lines, spans = self.batch.lines, self.spans
        begins, ends = lines.begin(spans.text, spans.first), lines.begin(spans.text, spans.last + 1)
        gone: dict[int, list[tuple[int, int]]] = {}
        for doc, begin, end in zip(spans.text.tolist(), begins.tolist(), ends.tolist(), strict=True):
            gone.setdefault(doc, []).append((begin, end))
        return gone

    def outcome(self) -> pa.StructArray:
        """Return what becomes of the documents; of odd ones whatever it is."""
        batch, gates = self.batch, self.gates
        has_words = batch.words > 0
        spans = self.spans.where(~batch.is_odd[self.spans.text])
        words_left = batch.words.copy()
        np.subtract.at(words_left, spans.text, words_of_lines(batch.lines, spans))
        changed = [one for one in self.changed_lines if not batch.is_odd[one[0]]]
        docs = np.array([one[0] for one in changed], np.int64)
        for place, add in ((1, np.subtract.at), (2, np.add.at)):
            add(
                words_left,
                docs,
                count_words_of(pa.array([one[place] for one in changed], pa.binary()).cast(pa.string())),
            )
        replacements = [one for one in self.replacements if not batch.is_odd[one[0]]]

        too_few = has_words & (words_left / np.maximum(batch.words, 1) <= gates.min_word_ratio)
        is_blank = ~has_words | too_few | (words_left <= gates.min_words)
        is_edited = np.zeros(len(batch.texts), np.bool_)
        is_edited[spans.text] = True
        differs = [doc for doc, old, new in changed if old != new]
        is_edited[differs] = True
        status = np.select(
            [too_few, is_blank, is_edited],
            [str(DocumentStatus.BLANKED_RATIO), str(DocumentStatus.BLANKED_SHORT), str(DocumentStatus.EDITED)],
            str(DocumentStatus.KEPT_UNCHANGED),
        )
        emptied = is_blank | batch.is_odd
        if emptied.any() or is_edited.any():
            text = edit(batch.lines, spans, Replacements.of(replacements), emptied)
        else:
            text = batch.texts
        columns = {
            "text": text,
            "status": pa.array(status, pa.string()),
            "words_before": batch.words,
            "words_after": np.where(is_blank, 0, words_left),
            "removed": self._removed(),
            "normalized": self._normalized(),
            "verdicts": self._verdicts(),
        }
        return _struct(_EXECUTION, columns)

    def _removed(self) -> pa.ListArray:
        batch = self.batch
        ops = self.removals[~batch.is_odd[batch.op_doc[self.removals]]]
        return self._of_ops(
            _REMOVED, ops, {name: batch.field(name).take(pa.array(ops)) for name in ("line_start", "line_end")}
        )

    def _normalized(self) -> pa.ListArray:
        batch = self.batch
        found = np.array(self.hits, np.int64).reshape(-1, 2)
        found = found[~batch.is_odd[batch.op_doc[found[:, 0]]]]
        ops = found[:, 0]
        strings = {name: batch.field(name).take(pa.array(ops)) for name in ("source_str", "target_str")}
        return self._of_ops(_NORMALIZED, ops, {**strings, "n_hits": found[:, 1]})

    def _of_ops(self, kind: pa.ListType, ops: Numbers, columns: dict[str, Any]) -> pa.ListArray:
        """Return a list for each document of what some of its operations did."""
        batch = self.batch
        chunk_index = batch.chunk_index.take(pa.array(batch.op_chunk[ops]))
        values = _struct(kind.value_type, {**columns, "chunk_index": chunk_index, "op_index": batch.op_index[ops]})
        return _lists(kind, batch.op_doc[ops], len(batch.texts), values)

    def _verdicts(self) -> pa.ListArray:
        batch, n = self.batch, len(self.batch.chunk_doc)
        element = _VERDICTS.value_type
        findings = element.field("diagnostics").type
        absent = np.array(self.absent, np.int64)
        found = [
            {"code": str(DiagnosticCode.SOURCE_ABSENT), "op_index": index, "detail": snippet(str(_operation(op)))}
            for index, op in zip(
                batch.op_index[absent].tolist(), batch.ops.take(pa.array(absent)).to_pylist(), strict=True
            )
        ]
        chunk_of_absent = batch.op_chunk[absent]
        has_notes = np.bincount(chunk_of_absent, minlength=n) > 0
        columns = {
            "chunk_index": batch.chunk_index,
            "diagnostics": _lists(findings, chunk_of_absent, n, pa.array(found, findings.value_type)),
            "status": pa.array(np.where(has_notes, str(Verdict.APPLIED_WITH_NOTES), str(Verdict.APPLIED)), pa.string()),
            "reason": pa.nulls(n, pa.string()),
        }
        return _lists(_VERDICTS, batch.chunk_doc, len(batch.texts), _struct(element, columns))


@dataclass
class _Made:
    """What the replacements of a chunk have made so far.

    Attributes:
        lines: the lines that were changed, by their beginnings.
        n_grown: characters by which they are longer.
    """

    lines: dict[int, bytes] = field(default_factory=dict)
    n_grown: int = 0


def _hits(
    data: bytes,
    source: str | None,
    target: str | None,
    begin: int,
    end: int,
    gone: Sequence[tuple[int, int]],
    made: _Made,
) -> list[int] | None:
    """Return where a string is found in the lines that stay; None where this way can't tell what is to be done."""
    if source is None or target is None or "\n" in source or "\n" in target or len(source.strip()) < MIN_SOURCE_CHARS:
        return None
    old, hits = source.encode(), []
    if any(old in line for line in made.lines.values()):
        return None
    at = data.find(old, begin, end)
    while at >= 0:
        # It has no line break: it is in one line, which is gone or not.
        if not any(first <= at < behind for first, behind in gone):
            hits.append(at)
        at = data.find(old, at + len(old), end)
    grows = made.n_grown + len(hits) * (len(target) - len(source)) > GROWTH_CHARS
    return None if grows else hits


def _one_by_one(
    texts: pa.Array,
    words_before: pa.Array,
    chunks: pa.Array,
    execute: Callable[[str, int | None, Sequence[ChunkProgram]], Execution],
) -> pa.StructArray:
    """Execute the programs of each document in Python."""
    columns = (texts.to_pylist(), words_before.to_pylist(), chunks.to_pylist())
    rows = [
        _row(execute(text, n_words, [_program(chunk) for chunk in own or ()]))
        for text, n_words, own in zip(*columns, strict=True)
    ]
    return pa.array(rows, _EXECUTION)


def _program(chunk: dict[str, Any]) -> ChunkProgram:
    ops = tuple(map(_operation, chunk["ops"]))
    findings = tuple(Diagnostic(_CODES[f["code"]], f["op_index"], f["detail"]) for f in chunk["diagnostics"])
    return ChunkProgram(chunk["chunk_index"], chunk["line_start"], chunk["line_end"], Program(ops, findings))


def _operation(op: dict[str, Any]) -> Operation:
    return Operation(OpName(op["op"]), op["line_start"], op["line_end"], op["source_str"], op["target_str"])


def _row(done: Execution) -> dict[str, Any]:
    findings: dict[int, list[dict[str, Any]]] = {}
    for f in done.diagnostics:
        findings.setdefault(f.chunk_index, []).append({"code": str(f.code), "op_index": f.op_index, "detail": f.detail})
    return {
        "text": done.text,
        "status": str(done.status),
        "words_before": done.words_before,
        "words_after": done.words_after,
        "removed": [_fields(span) for span in done.removed],
        "normalized": [_fields(one) for one in done.normalized],
        "verdicts": [
            {
                "chunk_index": verdict.chunk_index,
                "diagnostics": findings.get(verdict.chunk_index, []),
                "status": str(verdict.verdict),
                "reason": verdict.reason,
            }
            for verdict in done.verdicts
        ],
    }


def _fields(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__slots__}


def _flat(lists: pa.Array) -> tuple[Numbers, pa.Array]:
    """Return the values of all lists, and the number of the list that each is in."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(lists)), lengths), pc.list_flatten(lists)


def _lists(kind: pa.ListType, owners: Numbers, n: int, values: pa.Array) -> pa.ListArray:
    """Return a list for each of n owners; the values are in their order."""
    offsets = np.searchsorted(owners, np.arange(n + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=kind)


def _struct(kind: pa.StructType, columns: dict[str, Any]) -> pa.StructArray:
    arrays = []
    for one in kind:
        column = columns[one.name]
        column = column if isinstance(column, pa.Array) else pa.array(column)
        arrays.append(column if column.type == one.type else column.cast(one.type))
    return pa.StructArray.from_arrays(arrays, fields=list(kind))


def _numbers(array: pa.Array) -> Numbers:
    return array.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def _true(array: pa.Array) -> Flags:
    return array.fill_null(False).to_numpy(zero_copy_only=False)
