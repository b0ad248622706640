"""Growth of a wave's cost with the lake: the first and the last waves of one refine run with many waves.

    python benchmarks/growth.py [--documents 1000000] [--wave 10000] [--before REV]

A lake of short documents (two lines), local[2], and a FAKE engine that answers at once. Prints seconds and bytes read
(Spark's task metrics) of waves 5 to 14 and of the last ten waves with their ratio, the JVM's live heap, and the files
of each table; with --before also those of an older revision.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from common.ways import ROOT, checkout, temporary_folder
from waves.made import environment, make

WORKER = Path(__file__).parent / "waves" / "worker.py"
BAR = 1.15


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--wave", type=int, default=10_000, help="documents in a wave")
    parser.add_argument("--before", default="", help="git revision of an older build to run, too")
    args = parser.parse_args()
    if args.documents < 25 * args.wave:
        parser.error("take at least 25 waves: the first ten of them are compared with the last ten")
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        recipe = make(folder, "growth", args.documents, 2, args.wave)
        builds = {"this build": ROOT}
        if args.before:
            builds["before"] = stack.enter_context(checkout(args.before))
        for name, root in builds.items():
            show(name, run(root, folder, recipe, folder / f"lake-{len(name)}"))


def run(root: Path, folder: Path, recipe: Path, lake: Path) -> dict[str, Any]:
    """Refine a new lake with a build, and return the worker's figures."""
    command = [sys.executable, str(WORKER), str(recipe), str(lake)]
    done = subprocess.run(command, env=environment(root, folder), cwd=folder, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{root}: the run failed, see above")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def show(name: str, figures: dict[str, Any]) -> None:
    """Print the figures of a run."""
    print(
        f"{name}: {len(figures['waves']) + 1} waves, {figures['refine']:.0f} s; ingest before {figures['ingest']:.0f} s"
    )
    for what, unit in (("waves", 1), ("bytes", 1e6)):
        early, late = (median(figures[what][part]) / unit for part in (slice(3, 13), slice(-10, None)))
        verdict = "held" if late / early <= BAR else "NOT held"
        label = "seconds" if what == "waves" else "MB read"
        print(
            f"  {label}: waves 5 to 14 {early:8.1f}, last ten {late:8.1f}, ratio {late / early:.2f} (at most {BAR}: {verdict})"
        )
    heap = ", ".join(f"wave {wave} {n_bytes / 2**20:,.0f}" for wave, n_bytes in figures["heap"].items())
    print(f"  live heap, MiB: {heap}")
    print(f"  files: {', '.join(f'{table} {n:,}' for table, n in figures['files'].items())}", flush=True)


if __name__ == "__main__":
    main()
