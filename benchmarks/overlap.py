"""Gain of overlapping waves on a cluster: the same refine run with overlapping waves and with waves one by one.

    python benchmarks/overlap.py [--documents 2000] [--waves 4] [--latency 0.3] [--slots 4] [--rounds 1]

A real standalone cluster with one executor on this host, and a FAKE engine that answers every prompt after the same
time, 32 at once: as with a GPU, Spark has the CPU for itself. Prints, in turn and warm, the seconds of a run, the
share of them in which the engine had prompts, and the ratio of both ways.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from prox_spark.config import LakeConfig, Recipe
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import RefineSummary, refine_lake
from prox_spark.session import build_session

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "support")]

from cluster import make_executor_settings, make_fake_engine_environment, standalone  # noqa: E402
from tiny_tokenizer import bytes_json  # noqa: E402
from weightless import write_weightless  # noqa: E402

WINDOW = 32
TASKS = {
    "doc": {"template": "plain", "max_text_tokens": 64},
    "chunk": {"template": "plain", "max_chunk_tokens": 512, "max_answer_tokens": 16},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--waves", type=int, default=4)
    parser.add_argument("--latency", type=float, default=0.3, help="seconds until the FAKE engine answers")
    parser.add_argument("--slots", type=int, default=4, help="task slots of the executor")
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    os.environ |= make_fake_engine_environment(FAKE_ENGINE=json.dumps({"latency": args.latency}))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with standalone(folder, [{}], args.slots, dict(os.environ)) as cluster:
            measure(folder, cluster.url, args)


def measure(folder: Path, master: str, args: argparse.Namespace) -> None:
    """Run both ways in turn.

    Args:
        folder: folder for the lakes.
        master: URL of the cluster.
        args: the command line.
    """
    recipe = recipe_of(folder, master, args)
    spark = build_session(recipe)
    ingest(spark, recipe)

    def run(name: str, overlaps: bool) -> RefineSummary:
        root = shutil.copytree(folder / "lake", folder / name)
        lake = recipe.model_copy(update={"lake": LakeConfig(root=str(root))})
        with patch("prox_spark.pipeline.refine._can_overlap", return_value=overlaps):
            return refine_lake(spark, lake)

    try:
        run("warm", overlaps=True)
        for number in range(args.rounds):
            seconds = []
            for way, overlaps in (("one by one", False), ("overlapping", True)):
                done = run(f"{number} {way}", overlaps).run
                seconds.append(done.total_seconds)
                busy = done.engine_seconds / done.total_seconds
                print(f"{way:<12} {done.total_seconds:6.1f} s, the engine had prompts {busy:.0%} of them", flush=True)
            print(f"one by one / overlapping {seconds[0] / seconds[1]:.3f}", flush=True)
    finally:
        spark.stop()


def recipe_of(folder: Path, master: str, args: argparse.Namespace) -> Recipe:
    """Write pages and a refiner without weights, and return a recipe that refines these pages with it."""
    with (folder / "pages.jsonl").open("w") as pages:
        for number in range(args.documents):
            lines = [f"Line {line} of page {number} says {number * line} words of no importance." for line in range(5)]
            pages.write(json.dumps({"id": f"page-{number}", "text": "\n".join(lines)}) + "\n")
    refiner = folder / "refiner"
    refiner.mkdir()
    (refiner / "tokenizer.json").write_text(bytes_json())
    name = write_weightless(refiner, context_tokens=1024, tasks=TASKS)
    return Recipe.parse(
        {
            "input": {"paths": [str(folder / "pages.jsonl")]},
            "lake": {"root": str(folder / "lake")},
            "refiners": {"doc": name, "chunk": name},
            "engine": {"device": "cpu", "max_num_seqs": WINDOW, "window_factor": 1.0},
            "self_test": {"enabled": False},  # the answers of a FAKE would fail it
            "waves": {"documents": -(-args.documents // args.waves)},
            "spark": {"master": master, "conf": make_executor_settings(args.slots, "1g")},
        }
    )


if __name__ == "__main__":
    main()
