"""What feeding costs: 5,000 prompts through the generate UDF to a FAKE engine that answers each after 20 ms, 64 at once.

    python benchmarks/feeding.py [--prompts 5000] [--tokens 128] [--memory-prompts 50000]

Prints wall time over the ideal (prompts ÷ window × latency), CPU time of the worker per request, and how much the worker's
memory grows from 5,000 to 50,000 prompts. No model is involved: what is measured is the client, with the fake server's own CPU
time beside it on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import yaml

FAKE_ENGINE = Path(__file__).parents[1] / "tests" / "fake_engine"
LATENCY_SECONDS = 0.020
WINDOW = 64
BATCH_ROWS = 1_000
SCHEMA = pa.schema([("generation_key", pa.string()), ("token_ids", pa.list_(pa.int32()))])


def write_refiner(directory: Path) -> Path:
    """A card around no weights: the fake engine reads none."""
    tasks = {"doc": {"template": "plain", "max_text_tokens": 8}}
    card = {"name": "none", "licence": "MIT", "base": {"path": "."}, "context_tokens": 4096, "tasks": tasks}
    (directory / "refiner.yaml").write_text(yaml.safe_dump(card))
    (directory / "config.json").write_text("{}")
    return directory


def batches(n_prompts: int, n_tokens: int) -> Iterator[pa.RecordBatch]:
    """Arrow batches of distinct prompts, made as they are drawn."""
    for first in range(0, n_prompts, BATCH_ROWS):
        numbers = range(first, min(first + BATCH_ROWS, n_prompts))
        token_ids = [[n, *range(1000, 1000 + n_tokens - 1)] for n in numbers]
        columns = {"generation_key": [str(n) for n in numbers], "token_ids": token_ids}
        yield pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=5_000)
    parser.add_argument("--tokens", type=int, default=128, help="per prompt")
    parser.add_argument("--memory-prompts", type=int, default=50_000)
    args = parser.parse_args()
    sys.path.insert(0, str(FAKE_ENGINE))
    os.environ["FAKE_ENGINE"] = json.dumps({"latency": LATENCY_SECONDS})

    from prox_spark.config import EngineConfig
    from prox_spark.engine.resident import connect
    from prox_spark.engine.spec import EngineSpec
    from prox_spark.refiners import find
    from udfs.generate import Generate

    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROX_SPARK_RUNTIME"] = folder
        config = EngineConfig(device="cpu", max_num_seqs=WINDOW, window_factor=1.0)
        spec = EngineSpec(find(str(write_refiner(Path(folder)))), config)
        generate = Generate(spec, json.dumps({"temperature": 0, "max_tokens": 64}))
        engine = connect(spec)
        (server,) = (child for child in psutil.Process(engine.pid).children() if child.is_running())
        try:
            sum(batch.num_rows for batch in generate(batches(500, args.tokens)))  # warm
            me = psutil.Process()
            prompts = list(batches(args.prompts, args.tokens))
            cpu, server_cpu, begun = time.process_time(), sum(server.cpu_times()[:2]), time.monotonic()
            n_rows = sum(batch.num_rows for batch in generate(iter(prompts)))
            seconds = time.monotonic() - begun
            cpu, server_cpu = time.process_time() - cpu, sum(server.cpu_times()[:2]) - server_cpu
            assert n_rows == args.prompts
            ideal = args.prompts / WINDOW * LATENCY_SECONDS
            load = os.getloadavg()[0]
            print(
                f"{args.prompts:,} prompts of {args.tokens} tokens, window {WINDOW}, latency {LATENCY_SECONDS * 1000:g} ms, load {load:.1f}:"
            )
            print(f"  {seconds:.2f} s, ideal {ideal:.2f} s, ratio {seconds / ideal:.3f} (bar: 1.10)")
            print(
                f"  CPU per request: worker {cpu / n_rows * 1e6:.0f} µs, fake server {server_cpu / n_rows * 1e6:.0f} µs"
            )
            del prompts
            before = me.memory_info().rss
            sum(batch.num_rows for batch in generate(batches(args.memory_prompts, args.tokens)))
            grown = (me.memory_info().rss - before) / 2**20
            print(
                f"  memory of the worker: {before / 2**20:.0f} MB after {args.prompts:,} prompts, {grown:+.1f} MB after {args.memory_prompts:,} more (bar: ±50)"
            )
        finally:
            psutil.Process(engine.pid).terminate()


if __name__ == "__main__":
    main()
