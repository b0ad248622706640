"""Applying programs, compared with a copy of the table, the join alone, the pure-Python executor and an older build.

    python benchmarks/apply.py [--documents 20000 200000] [--rounds 3] [--before REV]

Makes a Delta table of documents (lines of the demo's sample, lengths log-normal around 2,000 characters) and one of
random programs. Then it times in turn, on local[2]: `copy` reads and writes the documents; `join` reads both tables,
gathers the programs of each document and writes documents with programs; `apply` executes the programs, too; `python`
does so with the pure-Python executor in `mapInArrow`; `before` is `apply` of an older revision, in a process of its
own. Prints seconds (medians of the rounds), ratios, the number of documents for which `apply` and `python` differ in
any field, and the peak memory of a Python worker. One document in ten has unusual programs, which the pure-Python
executor handles in all ways (overlapping ranges, absent strings).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common.ways import ROOT, checkout, temporary_folder

BEFORE = "21eec1b"
HERE = Path(__file__).parent
WAYS = ("copy", "join", "apply", "python")


class Worker:
    """A process that applies programs with one build."""

    def __init__(self, root: Path, folder: Path) -> None:
        environment = os.environ | {"PYTHONPATH": f"{root}:{HERE}"}
        command = [sys.executable, str(HERE / "applying" / "worker.py"), str(folder)]
        self._process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,  # Spark's Python workers look for modules in their working folder first: not in a checkout
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, *words: object) -> dict[str, Any]:
        """Send a line and return the answer."""
        assert self._process.stdin and self._process.stdout
        print(*words, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"failed: {' '.join(self._process.args)} ended; run it by hand to see why")  # type: ignore[arg-type]
        return dict(json.loads(line))

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", default=BEFORE, help="git revision of an older build; empty: none")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        this = stack.enter_context(Worker(ROOT, folder))
        before = None
        if args.before:
            before = stack.enter_context(Worker(stack.enter_context(checkout(args.before)), folder))
        for n in args.documents:
            compare(this, before, n, args.rounds)


def compare(this: Worker, before: Worker | None, n: int, n_rounds: int) -> None:
    """Measure one number of documents and print the figures."""
    made = this.ask("make", n)
    size = made["bytes"] / 1e6
    print(
        f"{n:,} documents, {size:,.0f} MB of text, median {made['median']:,.0f} characters, {made['programs']:,} programs"
    )
    times: dict[str, list[float]] = {}
    peaks: dict[str, int] = {}
    for turn in range(n_rounds):
        asked = [(way, this, way) for way in WAYS] + ([("before", before, "apply")] if before else [])
        for name, worker, way in asked if turn % 2 == 0 else reversed(asked):
            found = worker.ask("time", n, way)
            times.setdefault(name, []).append(found["seconds"])
            peaks[name] = found["peak"]
            print(f"  round {turn + 1}  {name:<8}{found['seconds']:8.1f} s", flush=True)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in medians.items():
        ratio = f"{seconds / medians['copy']:5.2f} x the copy, {seconds / medians['apply']:5.2f} x apply"
        print(f"  {name:<8}{seconds:8.1f} s {size / seconds:8,.0f} MB/s   {ratio}")
    print(f"  a Python worker of `apply` and `python` had at most {peaks['apply'] / 2**20:,.0f} MiB")
    print(f"  {this.ask('differ', n)['differ']:,} documents come out of apply and python differently", flush=True)


if __name__ == "__main__":
    main()
