"""Applying programs to a document of 50 MB and to one of 200,000 lines, compared with ordinary documents.

    python benchmarks/large_documents.py [--rounds 3]

Times the executor alone, on one Arrow batch: CPU seconds, medians of the rounds. Checks each result against the
pure-Python executor. Lines and programs are those of benchmarks/apply.py: two removals or replacements per 3,000
characters.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa

from prox_spark.spark_versions import to_arrow_type

sys.path.append(str(Path(__file__).parents[1]))

from applying.made import MADE, Make, sample_lines

from prox_spark.programs import Gates, execute_chunks
from prox_spark.programs.words import count_words
from prox_spark.udfs.execute import ExecuteStrict, _read_program
from prox_spark.udfs.programs import CHUNK

BAR = 3.0
CHUNKS = pa.list_(to_arrow_type(CHUNK))
Row = tuple[Any, ...]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bytes", type=int, default=50_000_000, help="size of the large document")
    parser.add_argument("--lines", type=int, default=200_000, help="lines of the document with many")
    args = parser.parse_args()
    lines = sample_lines()
    short = [line for line in lines if line][:1000]
    rng = random.Random(0)
    many_lines = "\n".join(rng.choice(short)[:40] for _ in range(args.lines))
    for name, make, text in (
        (f"a document of {args.bytes / 1e6:,.0f} MB", Make(lines), None),
        (f"a document of {args.lines:,} lines", Make(short), many_lines),
    ):
        large = make.row(0, args.bytes) if text is None else make.row_of(0, text)
        n_bytes = len(large[2].encode())
        ordinary = list(up_to(n_bytes, make))
        seconds = {"large": timed([large], args.rounds), "ordinary": timed(ordinary, args.rounds)}
        ratio = seconds["large"] / seconds["ordinary"]
        print(
            f"{name}: {seconds['large']:.2f} s, {len(ordinary):,} ordinary ones {seconds['ordinary']:.2f} s, "
            f"ratio {ratio:.2f} (at most {BAR}: {'held' if ratio <= BAR else 'NOT held'})",
            flush=True,
        )


def up_to(n_bytes: int, make: Make) -> Iterator[Row]:
    """Yield ordinary documents until they have this many bytes."""
    number = 0
    while n_bytes > 0:
        number += 1
        row = make.row(number)
        n_bytes -= len(row[2].encode())
        yield row


def timed(rows: list[Row], n_rounds: int) -> float:
    """Return the executor's CPU seconds; end the process if a result differs from the pure-Python executor's."""
    names = MADE.names
    texts = pa.array([row[names.index("text")] for row in rows], pa.string())
    words = pa.array([row[names.index("n_words")] for row in rows], pa.int64())
    chunks = [[{name: one[name] for name in CHUNK.names} for one in row[-1]] for row in rows]
    batch, execute = pa.array(chunks, CHUNKS), ExecuteStrict(Gates())
    seconds = []
    for _ in range(n_rounds):
        begun = time.process_time()
        done = execute(texts, words, batch)
        seconds.append(time.process_time() - begun)
    for text, own, found in zip(texts.to_pylist(), chunks, done.to_pylist(), strict=True):
        right = execute_chunks(text, [_read_program(chunk) for chunk in own], Gates())
        as_it_should = (right.text, str(right.status), count_words(right.text))
        if as_it_should != (found["text"], found["status"], found["words_after"]):
            raise SystemExit(f"failed: a document of {len(text):,} characters comes out differently")
    return median(seconds)


if __name__ == "__main__":
    main()
