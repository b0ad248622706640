"""Memory of Spark's Python workers while one of them reads a small or a large file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.children import WorkerMemory
from common.inputs import Made, write_jsonl_gz
from common.ways import Build

# Bytes of text and keys before compression.
PLAIN_BYTES = (200_000_000, 2_000_000_000)
# Bytes of a document before compression.
_DOCUMENT_BYTES = 2_660


def measure_memory(
    build: Build, root: Path, size: float, seed: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Ingest JSONL.gz files of both sizes and watch the workers.

    Args:
        build: the build to watch.
        root: folder for the files; they are removed afterwards.
        size: 1 for 200 MB and 2 GB.
        seed: seed of the documents.
        say: called with progress messages.

    Returns:
        For each size the uncompressed bytes and the peak of the largest worker, in bytes.
    """
    found = []
    for plain in PLAIN_BYTES:
        n = round(plain * size / _DOCUMENT_BYTES)
        say(f"memory: making {n:,} documents, {plain * size / 1e6:,.0f} MB, in one file")
        folders = root / "memory-warm", root / "memory"
        try:
            memory = WorkerMemory()
            warm, made = _make(folders[0], 200, seed + 1), _make(folders[1], n, seed)
            measured = build.measure(made, warm, ("first",), memory)
        finally:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
        say(f"  peak of a Python worker {memory.peak_bytes / 2**20:,.0f} MiB, ingest {measured['first']:.1f} s")
        found.append(
            {"plain_bytes": round(plain * size), "peak_bytes": memory.peak_bytes, "workers": [*memory.peaks.values()]}
            | measured
        )
    return found


def _make(folder: Path, n: int, seed: int) -> Made:
    folder.mkdir(parents=True)
    file = folder / "part-00000.jsonl.gz"
    write_jsonl_gz(file, seed, 0, n, level=1)
    return Made("jsonl.gz", folder, "jsonl", n, 1, file.stat().st_size)
