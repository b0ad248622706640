"""The generate stage on Spark, compared with plain `LLM.generate` and with the usual way, an engine per Python worker.

    python benchmarks/engine_efficiency.py [--documents 100] [--prompts 2000] [--rounds 1] [--device cuda]
                                           [--set engine.cpu_cores=1]

Same prompts, same engine settings, warm, in turn: (a) one call of `LLM.generate` with all prompts; (b) our generate
UDF in local[2] with a resident engine (the stage's reads and commits are not timed); (c) a pandas UDF in local[2]
that calls `LLM.generate` per Arrow batch, with an engine per worker, each bound to half of the cores (on a GPU: each
with half of its memory). Once with the recipe's refiner, and once with a random model so small that the code around
the engine dominates. Prints tokens per second, prompts and answers together, and ratios.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from efficiency import per_worker, plain, resident
from efficiency.cases import Case, refiner_cases, tiny_cases

from prox_spark.config import Recipe
from prox_spark.demo import PAGES


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, default=PAGES, help="JSON Lines with `text`")
    parser.add_argument(
        "--documents", type=int, default=100, help="documents for the recipe's refiner; 0 leaves it out"
    )
    parser.add_argument("--prompts", type=int, default=2000, help="prompts for the tiny model; 0 leaves it out")
    parser.add_argument("--batch-rows", type=int, default=256, help="rows of an Arrow batch in (c)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a field of the recipe; may be repeated"
    )
    args = parser.parse_args()
    # Spark's workers import these modules, too.
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    recipe = Recipe.load(None, [f"engine.device={args.device}", *args.set])
    ways = {"a": plain.measure, "b": resident.measure, "c": partial(per_worker.measure, batch_rows=args.batch_rows)}
    with tempfile.TemporaryDirectory() as folder:
        if args.documents:
            compare(refiner_cases(recipe, args.input, args.documents), ways, args.rounds)
        if args.prompts:
            compare(tiny_cases(recipe, Path(folder), args.prompts), ways, args.rounds)


def compare(
    cases: Sequence[Case], ways: dict[str, Callable[[Sequence[Case]], dict[str, float]]], n_rounds: int
) -> None:
    """Print the rates of all ways and their ratios."""
    for case in cases:
        lengths = [len(prompt) for prompt in case.prompts]
        print(
            f"{case.name}: {len(lengths):,} prompts of {min(lengths)} to {max(lengths)} tokens, {sum(lengths):,} in all"
        )
    for turn in range(n_rounds):
        rates = {}
        for name, way in ways.items():
            rates[name] = in_process(way, cases)
            print(
                f"({name}) tokens/s: {', '.join(f'{case} {rate:,.0f}' for case, rate in rates[name].items())}",
                flush=True,
            )
        for case in cases:
            a, b, c = (rates[name][case.name] for name in "abc")
            print(
                f"{case.name}, round {turn + 1}: tokens/s (a) plain {a:,.0f}, (b) resident {b:,.0f}, (c) per worker {c:,.0f}; "
                f"(b)/(a) {b / a:.3f}, (b)/(c) {b / c:.3f}",
                flush=True,
            )


def in_process(way: Callable[[Sequence[Case]], dict[str, float]], cases: Sequence[Case]) -> dict[str, float]:
    """Run a way in a fresh process, so that no engine or Spark session affects the next way."""
    # Not multiprocessing.Pool: its workers may have no children, but vLLM starts some on a GPU.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_called, way, cases).result()


def _called(way: Callable[[Sequence[Case]], dict[str, float]], cases: Sequence[Case]) -> dict[str, float]:
    try:
        return way(cases)
    except Exception as error:  # Spark's errors can't be sent to another process
        raise RuntimeError(f"{type(error).__name__}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
