"""Cost of feeding an engine: the client and the server around the model, with FAKES in place of the model.

    python benchmarks/feeding.py [--prompts 5000] [--tokens 128 1500] [--memory-prompts 50000] [--repeats 3]

1. The real server around a FAKE `LLMEngine`: CPU time of the server per prompt, which vLLM's own scheduling and
   detokenizing lack. First as fast as possible, then 300 prompts a second, one by one: each wakes all threads, which
   is the most expensive case.
2. The generate UDF with a FAKE server that answers at once: prompts per second that a core of the worker can feed, by
   CPU time.
3. The same with a server that answers each prompt after 20 ms, 64 at once: wall time divided by the ideal (prompts ÷
   window × latency). Rounding alone makes it 1.011 for 5,000 prompts, as some requests come in turn 79.
4. Growth of the worker's memory from 5,000 to 50,000 prompts.

CPU times hold beside other work on the same cores, wall times do not. Prints the medians of several repeats.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pyarrow as pa
import yaml

FAKE_ENGINE = Path(__file__).parents[1] / "tests" / "support" / "fake_engine"
LATENCY_SECONDS = 0.020
WINDOW = 64
BATCH_ROWS = 1_000
# Prompts per second that a 350 M refiner on an H200 answers, about.
FAST_ENGINE = 300
PARAMETERS = {"temperature": 0, "max_tokens": 64}
SCHEMA = pa.schema([("generation_key", pa.string()), ("token_ids", pa.list_(pa.int32()))])


@dataclass(frozen=True)
class Cost:
    """Medians of several repeats: wall seconds, and CPU microseconds per prompt of the worker and of the server."""

    seconds: float
    worker_us: float
    server_us: float


def cost(feed: Callable[[], int], server: psutil.Process, n_repeats: int) -> Cost:
    """Measure the cost of feeding prompts; `feed` does so and returns their number."""
    found = []
    for _ in range(n_repeats):
        cpu, server_cpu, begun = time.process_time(), sum(server.cpu_times()[:2]), time.monotonic()
        n = feed()
        seconds = time.monotonic() - begun
        cpu, server_cpu = time.process_time() - cpu, sum(server.cpu_times()[:2]) - server_cpu
        found.append((seconds, cpu / n * 1e6, server_cpu / n * 1e6))
    return Cost(*map(statistics.median, zip(*found, strict=True)))


def write_refiner(directory: Path) -> Path:
    """Write a card without weights: the FAKE engine reads none."""
    tasks = {"doc": {"template": "plain", "max_text_tokens": 8}}
    card = {"name": "none", "licence": "MIT", "base": {"path": "."}, "context_tokens": 4096, "tasks": tasks}
    (directory / "refiner.yaml").write_text(yaml.safe_dump(card))
    (directory / "config.json").write_text("{}")
    return directory


def prompts(first: int, n: int, n_tokens: int) -> list[list[int]]:
    return [[number, *range(1000, 1000 + n_tokens - 1)] for number in range(first, first + n)]


def batches(n_prompts: int, n_tokens: int) -> Iterator[pa.RecordBatch]:
    """Yield Arrow batches of distinct prompts, each made when it is drawn."""
    for first in range(0, n_prompts, BATCH_ROWS):
        n = min(BATCH_ROWS, n_prompts - first)
        columns = {"generation_key": list(map(str, range(first, first + n))), "token_ids": prompts(first, n, n_tokens)}
        yield pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def n_rows_out(generate: Any, given: Iterator[pa.RecordBatch]) -> int:
    return sum(batch.num_rows for batch in generate(given))


@contextmanager
def fake_engine(folder: Path, latency: float) -> Iterator[tuple[Any, psutil.Process]]:
    """Yield the UDF and the process of the FAKE server that it asks."""
    from prox_spark.config import EngineConfig
    from prox_spark.engine.life.resident import connect
    from prox_spark.engine.spec import EngineSpec
    from prox_spark.refiners import find
    from prox_spark.udfs.generate import Generate

    folder.mkdir()
    os.environ["PROX_SPARK_RUNTIME"] = str(folder)
    os.environ["FAKE_ENGINE"] = json.dumps({"latency": latency})
    config = EngineConfig(device="cpu", max_num_seqs=WINDOW, window_factor=1.0)
    spec = EngineSpec(find(str(write_refiner(folder))), config)
    engine = connect(spec)
    try:
        (server,) = psutil.Process(engine.pid).children()
        generate = Generate(spec, json.dumps(PARAMETERS))
        n_rows_out(generate, batches(500, 128))  # warm
        yield generate, server
    finally:
        psutil.Process(engine.pid).terminate()


class FakeLLMEngine:
    """An engine that answers all its prompts at the next step; with a pace, one per step and `pace` steps a second."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self.given: list[Any] = []

    def has_unfinished_requests(self) -> bool:
        return bool(self.given)

    def add_request(self, request_id: str, prompt: Any, parameters: Any, lora_request: Any) -> None:
        choice = SimpleNamespace(text="remove_lines(0, 0)", finish_reason="stop", token_ids=[1] * 8, logprobs=None)
        token_ids = prompt["prompt_token_ids"]
        details = {"prompt_token_ids": token_ids, "num_cached_tokens": 0, "metrics": None}
        self.given.append(SimpleNamespace(request_id=request_id, finished=True, outputs=[choice], **details))

    def step(self) -> list[Any]:
        n = len(self.given)
        if self.pace:
            time.sleep(1 / self.pace)
            n = 1
        answered, self.given = self.given[:n], self.given[n:]
        return answered


def serve_without_model(path: str, pace: float) -> None:
    """Run the real server as `prox_spark.engine.process.server.serve` does, around a FAKE engine."""
    import uvloop
    from vllm.utils.gc_utils import freeze_gc_heap

    from prox_spark.engine.process.engine_loop import EngineLoop
    from prox_spark.engine.process.server import Server, listen

    http = uvloop.new_event_loop()
    threading.Thread(target=http.run_forever, daemon=True).start()
    loop = EngineLoop(FakeLLMEngine(pace), http, fatal=MemoryError)  # type: ignore[arg-type]
    _listening = asyncio.run_coroutine_threadsafe(listen(Server(loop, "refiner", {}), path), http).result()
    freeze_gc_heap()
    loop.run()


@contextmanager
def real_server(folder: Path, pace: float) -> Iterator[tuple[Callable[[list[list[int]]], int], psutil.Process]]:
    """Yield a function that feeds prompts, and the process of the server."""
    from prox_spark.engine.ask.resident_session import ResidentSession
    from prox_spark.engine.ask.window import RequestWindow
    from prox_spark.engine.life.record import Engine
    from prox_spark.engine.slots.sharing import Share

    folder.mkdir()
    path = str(folder / "s")
    child = multiprocessing.get_context("spawn").Process(target=serve_without_model, args=(path, pace))
    child.start()
    assert child.pid
    me = psutil.Process()
    engine = Engine("fake", me.pid, me.create_time(), path, str(folder / "log"), 1)

    def feed(asked: list[list[int]]) -> int:
        session = ResidentSession(lambda: engine, PARAMETERS, 600, lambda n_deaths: None, max_crashing_prompts=0)
        return sum(1 for _ in RequestWindow(session, Share(folder / "slots", WINDOW)).ask_all(enumerate(asked)))

    try:
        with socket.socket(socket.AF_UNIX) as probe:
            while probe.connect_ex(path) and child.is_alive():
                time.sleep(0.1)  # vLLM is being imported
        feed(prompts(0, 500, 128))  # warm
        yield feed, psutil.Process(child.pid)
    finally:
        child.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=5_000)
    parser.add_argument(
        "--tokens", type=int, nargs="+", default=[128, 1_500], help="tokens per prompt; 3 and 4 use the first"
    )
    parser.add_argument("--memory-prompts", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    n, n_tokens = args.prompts, args.tokens[0]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{n:,} prompts, window {WINDOW}, medians of {args.repeats}, load {os.getloadavg()[0]:.1f}")
        for pace, share in ((0, 1), (FAST_ENGINE, 5)):  # before the fake vLLM is on the path
            with real_server(folder / str(pace), pace) as (feed, server):
                for length in args.tokens:
                    asked = prompts(0, n // share, length)
                    found = cost(lambda asked=asked: feed(asked), server, args.repeats)
                    n_fed = len(asked) / found.seconds
                    print(
                        f"real server, FAKE LLMEngine, {length} tokens, {n_fed:,.0f} prompts/s: {found.server_us:.0f} µs CPU per prompt = "
                        f"{n_fed * found.server_us / 1e4:.1f} % of a core; worker {found.worker_us:.0f} µs"
                    )
        sys.path.insert(0, str(FAKE_ENGINE))
        with fake_engine(folder / "at-once", 0.0) as (generate, server):
            for length in args.tokens:
                given = list(batches(n, length))
                found = cost(lambda given=given: n_rows_out(generate, iter(given)), server, args.repeats)
                print(
                    f"without latency, {length} tokens: worker {found.worker_us:.0f} µs CPU per prompt = {1e6 / found.worker_us:,.0f} "
                    f"prompts/s per core (bar: 1,500); fake server {found.server_us:.0f} µs; together {n / found.seconds:,.0f} prompts/s"
                )
        with fake_engine(folder / "latency", LATENCY_SECONDS) as (generate, server):
            given = list(batches(n, n_tokens))
            found = cost(lambda given=given: n_rows_out(generate, iter(given)), server, args.repeats)
            ideal = n / WINDOW * LATENCY_SECONDS
            print(
                f"latency {LATENCY_SECONDS * 1000:g} ms, {n_tokens} tokens: {found.seconds:.2f} s, ideal {ideal:.2f} s, ratio "
                f"{found.seconds / ideal:.3f} (bar: 1.05); worker {found.worker_us:.0f} µs, fake server {found.server_us:.0f} µs"
            )
            del given
            me = psutil.Process()
            before = me.memory_info().rss
            n_rows_out(generate, batches(args.memory_prompts, n_tokens))
            grown = (me.memory_info().rss - before) / 2**20
            print(
                f"memory of the worker: {before / 2**20:.0f} MB after {n:,} prompts, {grown:+.1f} MB after {args.memory_prompts:,} more "
                "(bar: ±50)"
            )


if __name__ == "__main__":
    main()
