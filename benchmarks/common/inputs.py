"""Input files, made in seconds: the same bytes for the same seed and size."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from common.pages import Pages
from common.warcs import write_warc

N_FILES = 4
N_DOCUMENTS = 200_000
# This many pages make 200 MB of WARC.gz files.
N_WARC_PAGES = 13_000
_ROW_GROUP = 5_000


@dataclass(frozen=True)
class Made:
    """Files of one format.

    Attributes:
        name: name in tables.
        folder: folder of these files and no others.
        kind: format as `ingest --format` names it.
        n_documents: number of documents that reading must return.
        n_files: number of files, which is how many can be read in parallel.
        n_bytes: their size on disk.
    """

    name: str
    folder: Path
    kind: str
    n_documents: int
    n_files: int
    n_bytes: int

    def __str__(self) -> str:
        """Describe the files in one line."""
        files = "1 file" if self.n_files == 1 else f"{self.n_files} files"
        return f"{self.name}: {self.n_documents:,} documents, {self.n_bytes / 1e6:,.1f} MB in {files}"


def make_inputs(root: Path, formats: list[str], size: float, seed: int, n_processes: int) -> Iterator[Made]:
    """Make the files of each format in a folder of its name.

    Args:
        root: folder of these folders; a folder that exists is used as it is.
        formats: names of `FORMATS`.
        size: 1 for the full size.
        seed: seed of the random documents.
        n_processes: number of files that are made in parallel.

    Yields:
        Each format as soon as its files are written.
    """
    for name in formats:
        write, n_files, n_full, suffix = FORMATS[name]
        folder, n = root / name, max(N_FILES, round(n_full * size))
        bounds = [n * i // n_files for i in range(n_files + 1)]
        if not folder.exists():
            unfinished = root / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            with ProcessPoolExecutor(n_processes) as pool:
                done = [
                    pool.submit(write, unfinished / f"part-{i:05}.{suffix}", seed, first, after)
                    for i, (first, after) in enumerate(pairwise(bounds))
                ]
                for future in done:
                    future.result()
            unfinished.rename(folder)
        n_bytes = sum(file.stat().st_size for file in folder.iterdir())
        yield Made(name, folder, name.partition(".")[0], n, n_files, n_bytes)


def write_jsonl_gz(path: Path, seed: int, first: int, after: int, level: int = 6) -> None:
    """Write the documents `first` to `after - 1`, one per line."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", level, raw, mtime=0) as out:
        _write_lines(out, seed, first, after)


def _write_jsonl_zst(path: Path, seed: int, first: int, after: int) -> None:
    with path.open("wb") as raw, zstandard.ZstdCompressor().stream_writer(raw) as out:
        _write_lines(out, seed, first, after)


def _write_lines(out: BinaryIO, seed: int, first: int, after: int) -> None:
    pages = Pages(seed)
    with io.BufferedWriter(out, 1 << 20) as lines:  # type: ignore[arg-type]
        for number in range(first, after):
            # One writer in four uses the default of json.dumps, with \\uXXXX for all but ASCII.
            line = json.dumps(pages.document(number), ensure_ascii=number % 4 == 0)
            lines.write(line.encode() + b"\n")


def _write_parquet(path: Path, seed: int, first: int, after: int) -> None:
    pages = Pages(seed)
    with pq.ParquetWriter(path, _SCHEMA) as out:
        for start in range(first, after, _ROW_GROUP):
            rows = [pages.document(number) for number in range(start, min(start + _ROW_GROUP, after))]
            out.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA))


_WARC = pa.struct([("file", pa.string()), ("offset", pa.int64())])
_META = pa.struct(
    [("status", pa.int64()), ("charset", pa.string()), ("warc", _WARC), ("labels", pa.list_(pa.string()))]
)
_STRINGS = ("id", "text", "url", "date", "dump", "language")
_SCHEMA = pa.schema([*((name, pa.string()) for name in _STRINGS), ("language_score", pa.float64()), ("meta", _META)])

# Name → function that writes a file, number of files, number of documents at full size, suffix.
FORMATS: dict[str, tuple[Any, int, int, str]] = {
    "jsonl.gz": (write_jsonl_gz, N_FILES, N_DOCUMENTS, "jsonl.gz"),
    "jsonl.gz-1": (write_jsonl_gz, 1, N_DOCUMENTS, "jsonl.gz"),
    "jsonl.zst": (_write_jsonl_zst, N_FILES, N_DOCUMENTS, "jsonl.zst"),
    "parquet": (_write_parquet, N_FILES, N_DOCUMENTS, "parquet"),
    "warc.gz": (write_warc, N_FILES, N_WARC_PAGES, "warc.gz"),
}
