"""Peers, side by side: the same refiner, prompts and machine for prox_spark and for what else refines text with vLLM.

    python benchmarks/peers.py [--documents 400] [--rounds 3] [--ways plain ours …] [--input pages.jsonl] [--set key=value]

Each way is a process of its own that reads the same JSON Lines, asks the same weights under the same engine settings, with all
cores bound, about every document and about the chunks of those that are kept, carries out the programs and writes what became of
them: plain `LLM.generate`, one call for all documents and one for all chunks, in one process; prox_spark in local[2], ingest and
refine into Delta tables; datatrove's InferenceRunner with vLLM's server; Ray Data LLM, a processor for each stage; and the ProX
authors' two scripts, written anew from their description, each with a vLLM per rank, their executor being our `reference`. The
order alternates from round to round.

Prints documents per second, start-up apart and included (imports, JVM, engines, a first prompt; Ray and the authors start an engine for
each stage), the peak memory of all processes of a way, and ratios beside their bars. datatrove and Ray have environments of their
own, with the same vLLM: `make bench` makes them (7 GB), `make .cache/peers/ray/installed` one. What is not there or fails is not
run, and the table says why. For a CPU; about an hour on two cores. What a run of prox_spark costs once, however little there is
to do (planning, commits: a dozen seconds here), is in its figures: the bars are for runs of minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from door.children import ChildError
from door.ways import temporary_folder
from side_by_side.jobs import job_of, recipe_of, write_documents
from side_by_side.report import print_report
from side_by_side.ways import OURS, PLAIN, WAYS, Measured, measure

from prox_spark.demo import PAGES


def main() -> int:
    """Measures and prints.

    Returns:
        0 when prox_spark and plain `LLM` ran, or whichever of them was asked for; whatever the figures.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, default=PAGES, help="JSON Lines with `text`")
    parser.add_argument(
        "--documents", type=int, default=400, help="more than the input has are put together of its parts"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS], help="which are measured")
    parser.add_argument(
        "--ranks", type=int, default=1, help="processes of the authors' scripts, which divide the cores"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the documents that are put together")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a field of the recipe; again for more"
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
    """Tells what is going on."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
