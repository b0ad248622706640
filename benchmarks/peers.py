"""prox_spark and its peers, with the same refiner, prompts and machine: other software that refines text with vLLM.

    python benchmarks/peers.py [--documents 400] [--rounds 3] [--ways plain ours …] [--input pages.jsonl]
                               [--set key=value]

Each way is a process of its own. It reads the same JSON Lines, asks the same weights under the same engine settings,
with all cores bound, about every document and then about the chunks of the kept ones, executes the programs and
writes the results. The ways: plain `LLM.generate` in one process, with one call for all documents and one for all
chunks; prox_spark in local[2], ingest and refine into Delta tables; datatrove's InferenceRunner with vLLM's server;
Ray Data LLM with a processor per stage; and the ProX authors' two scripts, rewritten from their description, with a
vLLM per rank and our `reference` as executor. The order alternates from round to round.

Prints documents per second without and with the start-up (imports, JVM, engines, a first prompt; Ray and the authors
start an engine per stage), the peak memory of all processes of a way, and ratios beside their bars. datatrove and Ray
have environments of their own, with the same vLLM: `make bench` makes them (7 GB), `make .cache/peers/ray/installed`
makes one. A way that is missing or fails is left out, and the table says why. For a CPU; about an hour on two cores.
The fixed cost of a prox_spark run (planning, commits: a dozen seconds here) is in its figures: the bars are for runs
of minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from common.children import ChildError
from common.ways import temporary_folder
from side_by_side.jobs import job_of, recipe_of, write_documents
from side_by_side.report import print_report
from side_by_side.ways import OURS, PLAIN, WAYS, Measured, measure

from prox_spark.demo import PAGES


def main() -> int:
    """Measure and print.

    Returns:
        0 if prox_spark and plain `LLM` ran, or those of them that were asked for, whatever the figures; else 1.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, default=PAGES, help="JSON Lines with `text`")
    parser.add_argument(
        "--documents", type=int, default=400, help="documents; beyond those of the input they are made of its parts"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS], help="ways to measure")
    parser.add_argument("--ranks", type=int, default=1, help="processes of the authors' scripts, which share the cores")
    parser.add_argument("--seed", type=int, default=0, help="seed of the documents that are made")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a field of the recipe; may be repeated"
    )
    args = parser.parse_args()
    recipe = recipe_of("cpu", args.set)
    ways = [WAYS[name] for name in args.ways]
    not_run = {way.name: why for way in ways if (why := way.missing())}
    rounds: dict[str, list[Measured]] = {way.name: [] for way in ways}
    with temporary_folder() as folder:
        pages = folder / "pages.jsonl"
        n_characters = write_documents(pages, args.input, args.documents, args.seed)
        say(f"{args.documents:,} documents of {n_characters:,} characters, {os.cpu_count()} cores")
        job = job_of(recipe, pages) | {"ranks": args.ranks}
        for turn in range(args.rounds):
            for way in ways if turn % 2 == 0 else reversed(ways):
                if way.name in not_run:
                    continue
                try:
                    one = measure(way, job, recipe)
                except ChildError as error:
                    not_run[way.name] = str(error).splitlines()[-1]
                    say(f"round {turn + 1}  {way.name:<20} failed: {error}")
                    continue
                rounds[way.name].append(one)
                say(f"round {turn + 1}  {way.name:<20}{one.seconds:7.1f} s, start-up {one.start_seconds:.1f} s")
    print_report(rounds, not_run, args.documents)
    return int(any(way in not_run for way in (OURS, PLAIN)))


def say(line: str) -> None:
    """Print a progress message with the time."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
