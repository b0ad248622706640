"""One command for a GPU: refining with the released architecture on Spark and by plain `LLM`, and the card's use.

    python benchmarks/gpu_run.py [--documents 10000] [--waves 4] [--set engine.max_num_seqs=512]
    python benchmarks/gpu_run.py --dry-run

Needs one NVIDIA GPU, this repository with its extras `gpu`, `spark` and `dev`, Java, and no network: the refiner is a
Llama of the released refiners' size, 0.35 B, with random weights, and the documents are made of the demo's
vocabulary. A standalone cluster, whose worker discovers the GPU by conf/discover_gpus.sh, runs ingest, a warm-up that
starts the engine, the document stage alone, and both stages over overlapping waves. Then come the peak of the card,
measured by a product of bfloat16 matrices, and plain `LLM` over the same documents. Random weights end no answer, so
each program has --answer-tokens. Last, if its weights can be built, the demo's refiner web-135m refines the demo's
pages: real answers on this GPU.

Prints documents per second, prompt tokens per second, the share of a run in which the engine had prompts, the share
of the peak, and the rest of the time: the engine's queue, prefill and decode times, and the length of its steps
beside that of their arithmetic at the peak. Ends by itself after --limit seconds, with the figures so far. --dry-run
uses a tiny model, a few documents, the CPU and a fake GPU, and leaves out the warm-up and the document stage alone:
its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.children import ChildError, run_child
from common.pages import Pages
from common.ways import ROOT
from on_gpu.arithmetic import Load
from on_gpu.engine_times import EngineTimes
from on_gpu.refiner import write_refiner
from on_gpu.run_spark import DROP_ALL, DROP_NONE, Refined, refine_copy, take_in, warm
from side_by_side.jobs import environment_of, job_of

from prox_spark.config import Recipe
from prox_spark.demo import PAGES
from prox_spark.errors import ProxSparkError
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import refine_lake
from prox_spark.report.summaries import describe_refine
from prox_spark.session import build_session

sys.path.append(str(ROOT / "tests" / "support"))
from cluster import find_supervisors, make_environment, make_executor_settings, standalone
from short_runs import UNCOMPILED
from waiting import wait_until

OF_PLAIN, OF_PEAK = 0.97, 0.35
# Seconds reserved for starting web-135m and refining the demo's pages.
_DEMO_SECONDS = 60
# Seconds until plain `LLM` is ready, with the measurement of the peak.
_PLAIN_SECONDS = 75


class OutOfTimeError(Exception):
    """The time limit is reached."""


def main() -> int:
    """Measure and print.

    Returns:
        0 if all was measured, whatever the figures, or if there is no GPU; 1 if it failed or ran out of time.
    """
    args = parse_args()
    if not args.dry_run and shutil.which("nvidia-smi") is None:
        print("gpu_run: no GPU here (nvidia-smi is not on the PATH): nothing is measured. --dry-run runs it on the CPU")
        return 0
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(args.limit)
    # A short name: the folder holds sockets, whose paths have a limit.
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as name:
        try:
            measure(Path(name), args, time.monotonic() + args.limit)
        except OutOfTimeError:
            print(f"gpu_run: stopped after {args.limit} s; the figures above are all")
            return 1
        except ChildError as error:
            print(f"gpu_run: plain LLM failed: {error}", file=sys.stderr)
            return 1
        finally:
            signal.alarm(0)
    return 0


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--documents",
        type=int,
        default=10_000,
        help="documents of the document stage; both stages take fewer if time is short",
    )
    add("--waves", type=int, default=4)
    add("--slots", type=int, default=max(2, (os.cpu_count() or 2) - 4), help="task slots of the executor")
    add("--answer-tokens", type=int, default=24, help="tokens of each program")
    add("--memory", default="12g", help="heap of the executor")
    add("--limit", type=int, default=480, help="seconds after which it ends by itself")
    add("--seed", type=int, default=0)
    add(
        "--demo",
        action=argparse.BooleanOptionalAction,
        help="run web-135m over the demo's pages, if there is time; not in a dry run",
    )
    add("--dry-run", action="store_true", help="run on the CPU, to check that it works")
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="a field of the recipe; may be repeated")
    args = parser.parse_args()
    args.demo = not args.dry_run if args.demo is None else args.demo
    if args.dry_run:
        args.documents, args.waves, args.slots, args.answer_tokens, args.memory = 12, 2, 2, 4, "1g"
    return args


def measure(folder: Path, args: argparse.Namespace, deadline: float) -> None:
    """Run all measurements.

    Args:
        folder: folder for all files.
        args: the command line.
        deadline: end by the monotonic clock, in seconds.
    """
    n = args.documents
    with step("making the refiner"):
        size = write_refiner(folder / "refiner", args.answer_tokens, args.dry_run)
    with cluster(folder, args) as url:
        recipe = recipe_of(folder, url, args, n)
        with step("starting Spark"):
            spark = build_session(recipe)
        try:
            taken = take_in(spark, recipe)
            say(f"ingest of {n:,} documents {taken:.1f} s")
            doc = None
            if not args.dry_run:
                with step("warm-up with the engine's start"):
                    warm(spark, recipe, folder, 2 * args.slots)
                doc = refine_copy(spark, recipe, folder / "doc", DROP_ALL)
                say(f"document stage alone {doc.seconds:.1f} s, {_parts(doc)}")
                if (fewer := affordable(n, doc.seconds, deadline - time.monotonic())) < n:
                    say(f"the time left allows {fewer:,} documents for both stages and plain LLM")
                    n, recipe = fewer, recipe_of(folder, url, args, fewer)
                    taken = take_in(spark, recipe)
            both = refine_copy(spark, recipe, folder / "both", DROP_NONE)
            say(f"both stages {both.seconds:.1f} s, {_parts(both)}; {both.statuses}")
        finally:
            spark.stop()
        engines_end()
        plain = run_plain(folder, recipe, args)
        report(doc or both, args.documents, both, n, taken, plain, size)
        if args.demo and time.monotonic() + _DEMO_SECONDS < deadline:
            demo(folder, recipe)
            engines_end()


def affordable(n: int, doc_seconds: float, left: float) -> int:
    """Return the number of documents that both ways can refine in the time left.

    Args:
        n: documents of the document stage.
        doc_seconds: seconds of the document stage; both stages take about 2.5 times as long.
        left: seconds left.
    """
    return max(n // 20, min(n, int(n * (left - _PLAIN_SECONDS) / (2 * 2.5 * doc_seconds))))


def engines_end() -> None:
    """Wait until the engines of a stopped session have ended: the next one needs their memory."""
    wait_until(lambda: not find_supervisors(), "the engines end with their executor", 60)


@contextmanager
def cluster(folder: Path, args: argparse.Namespace) -> Iterator[str]:
    """Run a master and a worker with one GPU, and yield the URL."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    own = make_environment(PYTHONPATH=path, PROX_SPARK_RUNTIME=str(folder / "run"))
    if args.dry_run:
        smi = folder / "bin" / "nvidia-smi"
        smi.parent.mkdir(exist_ok=True)
        smi.write_text("#!/bin/sh\necho 0\n")
        smi.chmod(0o755)
        own["PATH"] = f"{smi.parent}{os.pathsep}{own['PATH']}"
    else:
        own.pop("JAVA_TOOL_OPTIONS", None)  # the tests' own, for short runs
    os.environ |= own
    gpu = "spark.worker.resource.gpu"
    worker = {f"{gpu}.amount": "1", f"{gpu}.discoveryScript": str(ROOT / "conf" / "discover_gpus.sh")}
    with standalone(folder, [worker], args.slots, own, memory=args.memory) as running:
        yield running.url


def recipe_of(folder: Path, master: str, args: argparse.Namespace, n: int) -> Recipe:
    """Write n documents, and return the recipe that refines them in waves."""
    pages = folder / f"pages-{n}.jsonl"
    write_pages(pages, n, args.seed)
    conf = make_executor_settings(args.slots, args.memory) | {
        "spark.sql.shuffle.partitions": str(args.slots),
        "spark.executor.resource.gpu.amount": "1",
        "spark.driver.memory": "1g" if args.dry_run else "4g",
    }
    if args.dry_run:
        conf |= UNCOMPILED
    # The GPU settings are those of conf/recipes/gpu.yaml.
    settings = ["engine.device=cpu"] if args.dry_run else ["engine.device=cuda", "engine.max_num_seqs=256"]
    recipe = Recipe.load(None, [*settings, "self_test.enabled=false", *args.set])
    own = {
        "input": {"paths": [str(pages)]},
        "lake": {"root": str(folder / f"lake-{n}")},
        "refiners": {"doc": str(folder / "refiner"), "chunk": str(folder / "refiner")},
        "waves": {"documents": -(-n // args.waves)},
        "spark": {"master": master, "conf": conf},
    }
    return Recipe.parse(recipe.model_dump(mode="json") | own)


def run_plain(folder: Path, recipe: Recipe, args: argparse.Namespace) -> dict[str, Any]:
    """Measure the peak of the device, and plain `LLM` with the engine settings of the recipe."""
    out = folder / "plain"
    out.mkdir()
    job = job_of(recipe, Path(recipe.input.paths[0])) | {
        "out": str(out),
        "drop_threshold": DROP_NONE,
        "device": recipe.engine.device,
        "peak_side": 512 if args.dry_run else 8192,
    }
    job["engine"]["disable_log_stats"] = False  # as in our server
    own = environment_of(recipe, ROOT, Path(sys.executable), out, binds=True)
    with step("peak and plain LLM, its start included"):
        return run_child(
            [sys.executable, str(ROOT / "benchmarks" / "on_gpu" / "run_plain.py"), json.dumps(job)], own, out
        )


def report(
    doc: Refined, n_doc: int, both: Refined, n: int, taken: float, plain: dict[str, Any], size: dict[str, int]
) -> None:
    """Print the figures and the bars.

    Args:
        doc: figures of the document stage alone.
        n_doc: number of its documents.
        both: figures of both stages.
        n: number of documents of both stages and of plain `LLM`.
        taken: seconds of the ingest of these.
        plain: the printed figures of plain `LLM`.
        size: size of the model, as in `random_llama`.
    """
    peak = plain["peak"]
    [[begun, ended]] = plain["spans"]
    stages = {name: found for name, found in plain["stages"].items() if name in ("doc", "chunk")}
    loads = {name: Load(**{key: found[key] for key in Load.__dataclass_fields__}) for name, found in stages.items()}
    all_loads = sum(loads.values(), Load(0, 0, 0, 0, 0))
    generating = sum(found["seconds"] for found in stages.values())
    print(f"\nMeasured peak of bfloat16: {peak / 1e12:,.1f} TFLOP/s")
    head = f"{'documents/s':>12}{'prompt tokens/s':>17}{'engine busy':>13}{'of the peak':>13}"
    print(f"{'':<30}{head}")

    def row(name: str, seconds: float, busy: float, load: Load, n: int = n) -> float:
        share = float(load.operations(size) / busy / peak)
        print(
            f"  {name:<28}{n / seconds:>12,.1f}{load.prompt_tokens / seconds:>17,.0f}{busy / seconds:>13.1%}{share:>13.3f}"
        )
        return share

    of_peak = row("document stage, prox_spark", doc.seconds, doc.engine_seconds, doc.loads["doc"], n_doc)
    row("document stage, plain LLM", stages["doc"]["seconds"], stages["doc"]["seconds"], loads["doc"])
    ours = sum(both.loads.values(), Load(0, 0, 0, 0, 0))
    row("both stages, prox_spark", both.seconds, both.engine_seconds, ours)
    row("with ingest", both.seconds + taken, both.engine_seconds, ours)
    row("both stages, plain LLM", ended - begun, generating, all_loads)
    print(f"\nprox_spark ÷ plain LLM, both stages, documents/s: {_verdict((ended - begun) / both.seconds, OF_PLAIN)}")
    print(f"prox_spark with ingest ÷ plain LLM: {_verdict((ended - begun) / (both.seconds + taken), OF_PLAIN)}")
    print(f"Share of the peak in the document stage: {_verdict(of_peak, OF_PEAK)}")
    print("\nWhere the engine's time goes (vLLM's own metrics):")
    times = EngineTimes.read(plain["metrics"])
    for name, found, seconds, load in (
        ("document stage, prox_spark", doc.times, doc.engine_seconds, doc.loads["doc"]),
        ("both stages, prox_spark", both.times, both.engine_seconds, ours),
        ("both stages, plain LLM", times, generating, all_loads),
    ):
        steps = max(1.0, found.n_steps)
        ideal = load.operations(size) / peak
        print(
            f"  {name}: {found}; a step {seconds / steps * 1e3:.1f} ms, its arithmetic at the peak {ideal / steps * 1e3:.1f} ms"
        )


def demo(folder: Path, recipe: Recipe) -> None:
    """Refine the demo's pages with its refiner, for real answers."""
    name = "web-135m"
    own = Recipe.parse(
        recipe.model_dump(mode="json")
        | {
            "input": {"paths": [str(PAGES)]},
            "lake": {"root": str(folder / "demo")},
            "refiners": {"doc": name, "chunk": name},
            "engine": recipe.engine.model_dump(mode="json") | {"compile": False},
            "self_test": {"enabled": True},
        }
    )
    try:
        spark = build_session(own)
        try:
            with step(f"{name} over the demo's pages"):
                ingest(spark, own)
                print(describe_refine(refine_lake(spark, own)))
        finally:
            spark.stop()
    except ProxSparkError as error:
        print(f"{name} not run: {error}")


def write_pages(path: Path, n: int, seed: int) -> None:
    """Write documents as JSON Lines."""
    made = Pages(seed)
    with path.open("w", encoding="utf-8") as out:
        for number in range(n):
            print(json.dumps({"id": f"page-{number:06}", "text": made.document(number)["text"]}), file=out)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print the seconds of the block."""
    begun = time.monotonic()
    yield
    say(f"{name} {time.monotonic() - begun:.1f} s")


def say(line: str) -> None:
    """Print a progress message with the time."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def _parts(done: Refined) -> str:
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in done.parts.items())
    return f"the engine had prompts {done.engine_seconds:.1f} s of it ({parts})"


def _verdict(ratio: float, at_least: float) -> str:
    return f"{ratio:.3f}, at least {at_least:.2f}: {'held' if ratio >= at_least else 'NOT held'}"


def _out_of_time(*_: object) -> None:
    raise OutOfTimeError


if __name__ == "__main__":
    sys.exit(main())
