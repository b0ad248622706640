"""A file of 20 good records with one damaged at random: the 19 others are documents, whatever the damage."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warc_files import conversion, response

from prox_spark.errors import NOTES
from prox_spark.readers import InputFormat, ReadOptions, Record, Rejected, Skipped, read_file

pytestmark = pytest.mark.unit

N_RECORDS = 20
WORDS = ["heron", "water", "fish", "tide", "island", "evening", "mud", "flats", "bird", "waited", "stood", "shallow"]


def make_text(n: int, seed: int) -> str:
    """Return a text of a few words to a few kilobytes, with a number that no other text has."""
    source = random.Random(f"{seed} {n}")
    size = source.choice([3, 40, 400, 3_000])
    return f"Page {n} " + " ".join(f"{source.choice(WORDS)}{source.randrange(999)}" for _ in range(size))


def make_page(n: int, seed: int) -> bytes:
    body = f"<html><body><p>{make_text(n, seed)}</p></body></html>".encode()
    if (n + seed) % 3:
        return response(n, body=body)
    # Compressed bytes are incompressible, so a second compression stores them unchanged.
    return response(n, "Content-Encoding: gzip", body=gzip.compress(body, mtime=0))


def make_line(n: int, seed: int) -> bytes:
    head = {"url": f"https://birds.example/{n}", "id": f"bird-{n}", "n": n}
    return json.dumps({**head, "text": make_text(n, seed)}).encode() + b"\n"


@dataclass(frozen=True)
class Format:
    """How records are made and stored.

    Attributes:
        suffix: of the file.
        kind: which reader reads it.
        make: makes the record of a number and a seed.
        pack: compresses a record.
        pack_all: what is done to all of them at last.
    """

    suffix: str
    kind: InputFormat
    make: Callable[[int, int], bytes]
    pack: Callable[[bytes], bytes] = bytes
    pack_all: Callable[[bytes], bytes] = bytes


def make_conversion(n: int, seed: int) -> bytes:
    return conversion(n, make_text(n, seed))


def zip_(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)


FORMATS = {
    "WARC": Format(".warc", InputFormat.WARC, make_page),
    "WARC.gz": Format(".warc.gz", InputFormat.WARC, make_page, zip_),
    "WARC.zst": Format(".warc.zst", InputFormat.WARC, make_page, zstandard.ZstdCompressor().compress),
    "WARC.lz4": Format(".warc.lz4", InputFormat.WARC, make_page, lz4.frame.compress),
    "WET": Format(".warc.wet", InputFormat.WET, make_conversion),
    "WET.gz": Format(".warc.wet.gz", InputFormat.WET, make_conversion, zip_),
    # All lines share one member, so the damage hits a line.
    "JSONL.gz": Format(".jsonl.gz", InputFormat.JSONL, make_line, pack_all=zip_),
}


@dataclass(frozen=True)
class Damage:
    """A damage, and the record that it hits.

    Attributes:
        kind: `flip`, `cut`, `insert` and `zero` change stored bytes; `lines` swaps two lines of the record's header (or keys of
            a line), `headers` the whole header with that of another record.
        at: place in the record, from 0 to 1.
        n_bytes: how many.
        seed: of the bytes that are put in, and of the texts.
    """

    kind: str
    record: int
    other: int
    at: float
    n_bytes: int
    seed: int

    @property
    def hit(self) -> set[int]:
        """Return the numbers of the records that it hits."""
        return {self.record, self.other} if self.kind == "headers" else {self.record}

    def apply(self, form: Format) -> bytes:
        """Make the file."""
        records = [form.make(n, self.seed) for n in range(N_RECORDS)]
        if self.kind == "headers":
            (a, b), (c, d) = (_split(records[n]) for n in (self.record, self.other))
            records[self.record], records[self.other] = (c + b, a + d) if self.record != self.other else (a + b, a + b)
        if self.kind == "lines":
            records[self.record] = self._swap_lines(records[self.record])
        stored = [form.pack(record) for record in records]
        if self.kind not in ("headers", "lines"):
            # A line without its end merges with the next one, so two records are hit.
            end = b"\n" if form.kind is InputFormat.JSONL else b""
            stored[self.record] = self._change(stored[self.record].removesuffix(end)) + end
        return form.pack_all(b"".join(stored))

    def _swap_lines(self, record: bytes) -> bytes:
        header, rest = _split(record)
        separator = b"\r\n" if header.startswith(b"WARC") else b", "
        lines = header.split(separator)
        a, b = int(self.at * (len(lines) - 1)), self.n_bytes % len(lines)
        lines[a], lines[b] = lines[b], lines[a]
        return separator.join(lines) + rest

    def _change(self, content: bytes) -> bytes:
        source = random.Random(self.seed)
        begin = min(int(self.at * len(content)), len(content) - 1)
        # Half of the record stays, because a record that is missing entirely leaves no trace.
        n_bytes = min(self.n_bytes, len(content) // 2)
        before, hit, after = content[:begin], content[begin : begin + n_bytes], content[begin + n_bytes :]
        if self.kind == "flip":
            hit = bytes(byte ^ source.randrange(1, 256) for byte in hit)
        elif self.kind == "zero":
            hit = bytes(len(hit))
        elif self.kind == "insert":
            hit = source.randbytes(self.n_bytes) + hit
        else:
            hit = b""
        return before + hit + after


def _split(record: bytes) -> tuple[bytes, bytes]:
    """Split a record into header and content, or a line into its keys and its text."""
    end = record.find(b"\r\n\r\n") if record.startswith(b"WARC") else record.find(b', "text"')
    return record[:end], record[end:]


DAMAGES = st.builds(
    Damage,
    kind=st.sampled_from(["flip", "cut", "insert", "zero", "lines", "headers"]),
    record=st.integers(0, N_RECORDS - 1),
    other=st.integers(0, N_RECORDS - 1),
    at=st.floats(0, 1, exclude_max=True),
    n_bytes=st.sampled_from([1, 2, 3, 7, 30, 200, 2_000]),
    seed=st.integers(0, 2**20),
)


def check(form: Format, damage: Damage, path: Path) -> None:
    """Read the damaged file and check that nothing else is lost."""
    path.write_bytes(damage.apply(form))
    documents: dict[str | None, str] = {}
    n_rejected, n_notes, n_skipped = 0, 0, 0
    for item in read_file(str(path), form.kind, ReadOptions()):
        if isinstance(item, Record):
            documents[item.url] = item.text.strip()
        elif isinstance(item, Rejected):
            n_notes += item.reason in NOTES
            n_rejected += item.reason not in NOTES
        elif isinstance(item, Skipped):
            n_skipped += item.n_records
    whole = set(range(N_RECORDS)) - damage.hit
    lost = [n for n in whole if documents.get(f"https://birds.example/{n}") != make_text(n, damage.seed)]
    assert not lost
    n_lost = N_RECORDS - len(documents)
    assert n_lost <= len(damage.hit)
    # A record that is no document is a row in quarantine, or is counted as another kind than a page.
    assert n_lost <= n_rejected + n_skipped
    # One damage makes one finding, or two if it splits a record. A line may become many.
    if form.kind is not InputFormat.JSONL:
        assert n_rejected + n_notes + n_skipped <= 2 * len(damage.hit)


def _examples(n: int, derandomize: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        max_examples=n,
        derandomize=derandomize,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@pytest.mark.parametrize("name", FORMATS)
@_examples(50, derandomize=True)
@given(damage=DAMAGES)
def test_damage_to_one_record_costs_no_other_one(name: str, damage: Damage, tmp_path: Path) -> None:
    check(FORMATS[name], damage, tmp_path / f"a{FORMATS[name].suffix}")


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
@_examples(1_000, derandomize=False)
@given(damage=DAMAGES)
def test_a_thousand_damages_to_one_record_cost_no_other_one(name: str, damage: Damage, tmp_path: Path) -> None:
    check(FORMATS[name], damage, tmp_path / f"a{FORMATS[name].suffix}")
