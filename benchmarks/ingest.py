"""Ingest of this build, of an older build and of datatrove: the same files, in turn, in one run.

    python benchmarks/ingest.py [--quick] [--size 1.0] [--rounds 3] [--formats jsonl.gz parquet] [--before REV]
                                [--no-memory]

Makes web-like documents of the demo's vocabulary (the same for the same --seed): 200,000 of them as JSONL.gz (160 MB,
in four files, and again in one), JSONL.zst and Parquet, and 200 MB of WARC.gz: pages with mark-up, requests, images.
Then each way reads them, in an order that alternates from round to round. Both builds run in a process that starts
Spark, warms up with a tiny ingest, ingests into a new lake, and then ingests the same input again. datatrove's reader
and Parquet writer (pages by the extractor of `ingest`, with its settings) run on two workers and, for comparison, on
one. Seconds are medians; the JVM's start and datatrove's imports are reported apart. Last comes the peak memory of
Spark's Python workers over 200 MB and 2 GB of JSON Lines in one file.

datatrove is taken from .cache/datatrove, where `make bench` installs it, or from this environment:

    pip install -r benchmarks/common/datatrove.txt

Needs 8 GB of disk in the temporary folder, and about 45 minutes on two cores. The bars are for two idle cores at full
size: CPU seconds beside the seconds show how busy the machine was with other work.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common.children import ChildError
from common.inputs import FORMATS, Made, make_inputs
from common.memory import measure_memory
from common.report import Results, print_memory, print_speed
from common.ways import ROOT, Build, Datatrove, checkout, find_datatrove, temporary_folder

BEFORE = "b0f2049"
CORES = 2
WAYS = ("this", "before", "datatrove")
QUICK_SIZE = 0.02
# Size of the warm-up's input.
WARM_SIZE = 0.002


def main() -> int:
    """Measure and print.

    Returns:
        0 if all was measured, whatever the figures; 1 if a way failed, 2 if datatrove is missing, 130 after Ctrl-C.
    """
    args = parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    datatrove, missing = find_datatrove(args.datatrove_python)
    if missing and args.formats and "datatrove" in args.ways:
        print(f"{missing}\n(or leave it out: --ways this before)", file=sys.stderr)
        return 2
    results: Results = {"speed": {}, "memory": []}
    try:
        with ExitStack() as stack:
            root = args.inputs or stack.enter_context(temporary_folder())
            if args.formats:
                compare(ways_of(args, datatrove, stack), root, args, results)
            if args.memory:
                build = Build("this build", ROOT, CORES, args.driver_memory)
                results["memory"] = measure_memory(build, root, args.size, args.seed, say)
    except ChildError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: temporary folders and the checkout are removed", file=sys.stderr)
        return 130
    finally:
        print_speed(results, args.size)
        print_memory(results)
        if args.output:
            args.output.write_text(json.dumps(results | machine(args), indent=1))
    return int(any(found["failed"] for found in results["speed"].values()))


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--size", type=float, default=1.0, help="size of the inputs, also of those for --memory; the bars are for 1")
    add("--quick", action="store_true", help=f"--size {QUICK_SIZE} --rounds 1: a check that it runs")
    add("--formats", nargs="*", choices=FORMATS, default=[*FORMATS], help="formats to time; without a value none")
    add("--rounds", type=int, default=3)
    add("--memory", action=argparse.BooleanOptionalAction, default=True, help="measure the workers' memory, too")
    add("--before", default=BEFORE, help="git revision of the older build")
    add("--ways", nargs="+", choices=WAYS, default=WAYS, help="ways to measure")
    add("--datatrove-python", type=Path, help="interpreter of datatrove's environment")
    add("--driver-memory", help="spark.driver_memory of both builds; unset: each build's default")
    add("--seed", type=int, default=0)
    add("--inputs", type=Path, help="folder that keeps the inputs for the next run")
    add("--output", type=Path, help="file for all figures, as JSON")
    args = parser.parse_args()
    if args.quick:
        args.size, args.rounds = QUICK_SIZE, 1
    if args.inputs:
        args.inputs = args.inputs.resolve() / f"seed-{args.seed}-size-{args.size}"
    return args


def ways_of(args: argparse.Namespace, datatrove: Path | None, stack: ExitStack) -> list[Build | Datatrove]:
    """Return the ways to measure; the checkout of the older build is removed when the stack is closed."""
    ways: list[Build | Datatrove] = []
    if "this" in args.ways:
        ways.append(Build("this build", ROOT, CORES, args.driver_memory))
    if "before" in args.ways:
        tree = stack.enter_context(checkout(args.before))
        ways.append(Build(f"before ({args.before})", tree, CORES, args.driver_memory))
    if datatrove and "datatrove" in args.ways:
        ways += [Datatrove(f"datatrove, {n} workers", datatrove, n) for n in (CORES, 1)]
    return ways


def compare(ways: list[Build | Datatrove], root: Path, args: argparse.Namespace, results: Results) -> None:
    """Measure all ways on all formats, the ways in turn."""
    say(f"making the inputs in {root}")
    warm = {made.name: made for made in make_inputs(root / "warm", args.formats, WARM_SIZE, args.seed + 1, CORES)}
    inputs: list[Made] = []
    for made in make_inputs(root, args.formats, args.size, args.seed, CORES):
        say(f"  {made}")
        inputs.append(made)
        results["speed"][made.name] = {"input": str(made), "ways": {way.name: [] for way in ways}, "failed": {}}
    for turn in range(args.rounds):
        for made in inputs:
            for way in ways if turn % 2 == 0 else reversed(ways):
                if way.name in results["speed"][made.name]["failed"]:
                    continue
                try:
                    measured = way.measure(made, warm[made.name])
                except ChildError as error:
                    # The other ways are still measured: an older build may fail where this one does not.
                    results["speed"][made.name]["failed"][way.name] = str(error)
                    say(f"  round {turn + 1}, {made.name:<11} {way.name:<20} failed: {error}")
                    continue
                results["speed"][made.name]["ways"][way.name].append(measured)
                seconds = ", ".join(
                    f"{name.replace('_', ' ')} {measured[name]:.1f} s"
                    for name in ("jvm", "warm_up", "first", "unchanged", "with_import")
                    if name in measured
                )
                say(
                    f"  round {turn + 1}, {made.name:<11} {way.name:<20} {seconds} (others took {measured['others']:.1f} cores)"
                )


def say(line: str) -> None:
    """Print a progress message with the time."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def machine(args: argparse.Namespace) -> dict[str, Any]:
    """Return the conditions that the figures depend on."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    revision = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    settings = {
        name: value if isinstance(value, int | float | list | tuple) else str(value)
        for name, value in vars(args).items()
    }
    return {"revision": revision, "cores": os.cpu_count(), "arguments": settings}


if __name__ == "__main__":
    sys.exit(main())
