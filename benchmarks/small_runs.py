"""Cost of small runs, beside an older build: waves of 1,000 documents, refine without new ones, `apply` over five.

    python benchmarks/small_runs.py [--rounds 3] [--unchanged 100000] [--before REV]

On local[2], with a FAKE engine that answers at once, so that only Spark, Delta and our own code take time. `apply` is
a process, with its JVM's start, that derives five documents again under another threshold; it is compared with a bare
session that reads one Delta table and appends to it twice. Prints medians of the rounds, and ratios.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from common.ways import ROOT, checkout, temporary_folder
from growth import run
from waves.made import environment, make

BEFORE = "21eec1b"
BARE = """
import sys
from prox_spark.config import Recipe
from prox_spark.session import build_session
spark = build_session(Recipe())
rows = spark.read.format("delta").load(sys.argv[1]).limit(5)
for _ in range(2):
    rows.write.format("delta").mode("append").save(sys.argv[1])
spark.stop()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--unchanged", type=int, default=100_000, help="documents of the lake without new ones; 0 leaves this part out"
    )
    parser.add_argument("--before", default=BEFORE, help="git revision of the older build")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        builds = {"this build": ROOT, "before": stack.enter_context(checkout(args.before))}
        waves: dict[str, list[float]] = {name: [] for name in builds}
        unchanged: dict[str, list[float]] = {name: [] for name in builds}
        thousand = make(folder, "thousand", 9_000, 5, 1_000)
        many = make(folder, "many", args.unchanged, 2, args.unchanged)
        for turn in range(args.rounds):
            for number, (name, root) in enumerate(builds.items()):
                lake = folder / f"lake-{turn}-{number}"
                # Waves 5 to 9, each from the end of one document stage to that of the next.
                waves[name].append(median(run(root, folder, thousand, lake)["waves"][3:]))
                shutil.rmtree(lake)
                if args.unchanged:
                    unchanged[name].append(run(root, folder, many, lake)["unchanged"])
                    shutil.rmtree(lake)
        compare("a wave of 1,000 documents, waves 5 to 9", waves, 0.25)
        if args.unchanged:
            compare(f"refine over {args.unchanged:,} documents, nothing new, no engine", unchanged, 0.5)
        applied: dict[str, list[float]] = {name: [] for name in (*builds, "bare session")}
        recipes = {}
        for number, (name, root) in enumerate(builds.items()):
            recipes[name] = make(folder, f"five-{number}", 5, 5, 1_000)
            for command in ("ingest", "refine"):
                seconds_of(root, folder, [command, "--recipe", recipes[name]])
        # A table of its own: the appended rows are not rows of a lake.
        table = shutil.copytree(folder / "five-0-lake" / "refined", folder / "bare")
        for turn in range(args.rounds):
            for name, root in builds.items():
                threshold = f"apply.drop_threshold={0.9 - turn / 100}"
                applied[name].append(seconds_of(root, folder, ["apply", "--recipe", recipes[name], "--set", threshold]))
            applied["bare session"].append(timed([sys.executable, "-c", BARE, str(table)], ROOT, folder))
        compare("`apply` over five documents, a process", applied, 0.5)
        ratio = median(applied["this build"]) / median(applied["bare session"])
        print(f"  this build / bare session {ratio:.2f} (at most 1.30: {'held' if ratio <= 1.3 else 'NOT held'})")


def seconds_of(root: Path, folder: Path, arguments: list[Any]) -> float:
    """Run a command of a build, and return its seconds."""
    command = "import sys; from prox_spark.cli import main; sys.exit(main(sys.argv[1:]))"
    return timed([sys.executable, "-c", command, *map(str, arguments)], root, folder)


def timed(command: list[str], root: Path, folder: Path) -> float:
    """Run a process with a build, and return its seconds."""
    begun = time.monotonic()
    done = subprocess.run(command, env=environment(root, folder), cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[2:])[:200]} failed:\n{done.stderr[-2000:]}")
    return time.monotonic() - begun


def compare(what: str, seconds: dict[str, list[float]], at_most: float) -> None:
    """Print medians, and the ratio of this build to the older one."""
    print(what)
    for name, found in seconds.items():
        print(f"  {name:<14}{median(found):8.2f} s   ({', '.join(f'{one:.2f}' for one in found)})")
    ratio = median(seconds["this build"]) / median(seconds["before"])
    verdict = "held" if ratio <= at_most else "NOT held"
    print(f"  this build / before {ratio:.2f} (at most {at_most:.2f}: {verdict})", flush=True)


if __name__ == "__main__":
    main()
