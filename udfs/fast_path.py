"""The fast path of nearly all programs: edits of a whole batch, found without a Python object per document."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.programs import DiagnosticCode, DocumentStatus, Gates, OpName, ProgramStatus
from prox_spark.programs.operations import KEEPS, make_snippet
from prox_spark.programs.strict import GROWTH_CHARS, MIN_SOURCE_CHARS
from prox_spark.udfs.arrow import Numbers, make_lists, make_structs, to_flags, to_numbers
from prox_spark.udfs.edits import Replacements, Spans, count_words_of_lines, edit
from prox_spark.udfs.programs import ARROW_EXECUTION, Batch, to_operation
from prox_spark.udfs.words import count_words_of

_REMOVED: Final = ARROW_EXECUTION.field("removed").type
_NORMALIZED: Final = ARROW_EXECUTION.field("normalized").type
_CHUNK_OUTCOMES: Final = ARROW_EXECUTION.field("chunk_outcomes").type


# Largest number of hits of a string, or of changed lines of a chunk, that are handled one by one.
_MAX_HITS: Final = 64


class _Ranges(NamedTuple):
    """Ranges of bytes of a text, in order."""

    begins: list[int]
    ends: list[int]


_NOTHING: Final = _Ranges([], [])


@dataclass
class _Made:
    """The lines of a chunk that its replacements have changed so far.

    Attributes:
        lines: where the changed lines begin.
        text: their new text, one line after the other.
        n_grown: number of characters by which they have grown.
    """

    lines: set[int] = field(default_factory=set)
    text: bytes = b""
    n_grown: int = 0


def _find_hits(
    data: bytes,
    source: str | None,
    target: str | None,
    begin: int,
    end: int,
    gone: _Ranges,
    made: _Made,
) -> list[int] | None:
    """Return where a string occurs in the lines that stay; None where the fast path can't replace it."""
    if source is None or target is None or "\n" in source or "\n" in target or len(source.strip()) < MIN_SOURCE_CHARS:
        return None
    old, hits = source.encode(), []
    # Many replacements are faster document by document: there they are one call.
    if len(made.lines) > _MAX_HITS or data.count(old, begin, end) > _MAX_HITS:
        return None
    if old in made.text:
        return None
    at = data.find(old, begin, end)
    while at >= 0:
        # The string has no line break, so it lies in a single line, which is removed or not.
        before = bisect_right(gone.begins, at) - 1
        if before < 0 or at >= gone.ends[before]:
            hits.append(at)
        at = data.find(old, at + len(old), end)
    grows = made.n_grown + len(hits) * (len(target) - len(source)) > GROWTH_CHARS
    return None if grows else hits


class FastPath:
    """The edits of nearly all documents: chunks are kept, lines removed once each, and present strings replaced."""

    def __init__(self, batch: Batch, gates: Gates) -> None:
        self.batch, self.gates = batch, gates
        removes, replaces, keeps = (
            batch.find_operations(OpName.REMOVE_LINES),
            batch.find_operations(OpName.NORMALIZE),
            batch.find_operations(*KEEPS),
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
        self.absent: list[int] = []  # operations whose string does not occur
        self._find_replacements(np.flatnonzero(replaces))

    def _find_spans(self) -> None:
        batch, ops = self.batch, self.removals
        starts, ends = batch.get_op_field("line_start"), batch.get_op_field("line_end")
        first, last = to_numbers(starts)[ops], to_numbers(ends)[ops]
        chunk = batch.op_chunk[ops]
        is_inside = (batch.first_line[chunk] <= first) & (first <= last) & (last <= batch.last_line[chunk])
        is_inside &= ~to_flags(pc.or_(starts.is_null(), ends.is_null()))[ops]
        batch.is_odd[batch.op_doc[ops[~is_inside]]] = True
        spans = Spans(batch.op_doc[ops], first, last)
        spans = spans.select(~batch.is_odd[spans.text]).sort()
        batch.is_odd[spans.find_overlapping()] = True
        self.spans = spans.select(~batch.is_odd[spans.text]).merge()

    def _find_replacements(self, ops: Numbers) -> None:
        """Find the strings in the lines of each chunk that stay, one operation after the other."""
        batch = self.batch
        ops = ops[~batch.is_odd[batch.op_doc[ops]]]
        if not len(ops):
            return
        rows = pa.array(ops)
        sources, targets = (batch.get_op_field(name).take(rows).to_pylist() for name in ("source_str", "target_str"))
        chunks = batch.op_chunk[ops]
        begins = batch.lines.find_begins(batch.chunk_doc[chunks], batch.first_line[chunks]).tolist()
        ends = batch.lines.find_begins(batch.chunk_doc[chunks], batch.last_line[chunks] + 1).tolist()
        docs = batch.op_doc[ops].tolist()
        data = bytes(batch.lines.data)
        gone = self._find_removed_bytes()
        chunk_before, made = -1, _Made()
        for op, chunk, doc, source, target, begin, end in zip(
            ops.tolist(), chunks.tolist(), docs, sources, targets, begins, ends, strict=True
        ):
            if batch.is_odd[doc]:
                continue
            if chunk != chunk_before:
                chunk_before, made = chunk, _Made()
            hits = _find_hits(data, source, target, begin, end, gone.get(doc, _NOTHING), made)
            if hits is None or not self._replace(data, op, doc, source, target, hits, made):
                batch.is_odd[doc] = True

    def _replace(
        self, data: bytes, op: int, doc: int, source: str, target: str, hits: Sequence[int], made: _Made
    ) -> bool:
        """Note the replacements of an operation; return False if an earlier operation has changed one of their lines."""
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
                continue  # an earlier hit has changed the line
            line_begin = data.rfind(b"\n", text_begin, hit) + 1 or text_begin
            found = data.find(b"\n", hit, text_end)
            line_end = text_end if found < 0 else found
            line = data[line_begin:line_end]
            changed[line_begin] = line.replace(old, new)
            self.changed_lines.append((doc, line, changed[line_begin]))
        if changed.keys() & made.lines:
            return False
        made.lines.update(changed)
        made.text = b"\n".join((made.text, *changed.values()))
        return True

    def _find_removed_bytes(self) -> dict[int, _Ranges]:
        lines, spans = self.batch.lines, self.spans
        begins, ends = lines.find_begins(spans.text, spans.first), lines.find_begins(spans.text, spans.last + 1)
        gone: dict[int, _Ranges] = {}
        for doc, begin, end in zip(spans.text.tolist(), begins.tolist(), ends.tolist(), strict=True):
            ranges = gone.setdefault(doc, _Ranges([], []))
            ranges.begins.append(begin)
            ranges.ends.append(end)
        return gone

    def execute(self) -> pa.StructArray:
        """Return the outcomes of the documents; those of odd documents are meaningless."""
        batch, gates = self.batch, self.gates
        has_words = batch.words > 0
        spans = self.spans.select(~batch.is_odd[self.spans.text])
        words_left = batch.words.copy()
        np.subtract.at(words_left, spans.text, count_words_of_lines(batch.lines, spans))
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
            "removed": self._make_removed(),
            "normalized": self._make_normalized(),
            "chunk_outcomes": self._make_chunk_outcomes(),
        }
        return make_structs(ARROW_EXECUTION, columns)

    def _make_removed(self) -> pa.ListArray:
        batch = self.batch
        ops = self.removals[~batch.is_odd[batch.op_doc[self.removals]]]
        return self._make_lists_of_ops(
            _REMOVED, ops, {name: batch.get_op_field(name).take(pa.array(ops)) for name in ("line_start", "line_end")}
        )

    def _make_normalized(self) -> pa.ListArray:
        batch = self.batch
        found = np.array(self.hits, np.int64).reshape(-1, 2)
        found = found[~batch.is_odd[batch.op_doc[found[:, 0]]]]
        ops = found[:, 0]
        strings = {name: batch.get_op_field(name).take(pa.array(ops)) for name in ("source_str", "target_str")}
        return self._make_lists_of_ops(_NORMALIZED, ops, {**strings, "n_hits": found[:, 1]})

    def _make_lists_of_ops(self, kind: pa.ListType, ops: Numbers, columns: dict[str, Any]) -> pa.ListArray:
        """Return for each document a list with one struct per given operation."""
        batch = self.batch
        chunk_index = batch.chunk_index.take(pa.array(batch.op_chunk[ops]))
        values = make_structs(kind.value_type, {**columns, "chunk_index": chunk_index, "op_index": batch.op_index[ops]})
        return make_lists(kind, batch.op_doc[ops], len(batch.texts), values)

    def _make_chunk_outcomes(self) -> pa.ListArray:
        batch, n = self.batch, len(self.batch.chunk_doc)
        element = _CHUNK_OUTCOMES.value_type
        findings = element.field("diagnostics").type
        absent = np.array(self.absent, np.int64)
        found = [
            {
                "code": str(DiagnosticCode.SOURCE_ABSENT),
                "op_index": index,
                "detail": make_snippet(str(to_operation(op))),
            }
            for index, op in zip(
                batch.op_index[absent].tolist(), batch.ops.take(pa.array(absent)).to_pylist(), strict=True
            )
        ]
        chunk_of_absent = batch.op_chunk[absent]
        has_notes = np.bincount(chunk_of_absent, minlength=n) > 0
        columns = {
            "chunk_index": batch.chunk_index,
            "diagnostics": make_lists(findings, chunk_of_absent, n, pa.array(found, findings.value_type)),
            "status": pa.array(
                np.where(has_notes, str(ProgramStatus.APPLIED_WITH_NOTES), str(ProgramStatus.APPLIED)), pa.string()
            ),
            "reason": pa.nulls(n, pa.string()),
        }
        return make_lists(_CHUNK_OUTCOMES, batch.chunk_doc, len(batch.texts), make_structs(element, columns))
