"""The generate stage on Spark beside plain `LLM.generate`: same model, prompts and engine settings, warm, in turn.

    python tests/benchmarks/engine_efficiency.py [--input pages.jsonl.gz] [--documents 60] [--rounds 1]

Prints tokens per second of both and their ratio; prompts and answers count.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from prox_spark.config import Recipe
from prox_spark.demo import PAGES
from prox_spark.pipeline.stages import RefinerStages
from prox_spark.refiners.build import build
from prox_spark.session import build_session

WARM_UP = "A page about nothing in particular, so that both engines have answered once.\n" * 3


def texts(path: Path, limit: int) -> list[str]:
    """The first readable texts of a JSON Lines file."""
    found: list[str] = []
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for line in lines:
            try:
                text = json.loads(line.decode()).get("text")
            except ValueError:
                continue  # the sample holds broken records on purpose
            if text and text.split():
                found.append(text)
            if len(found) == limit:
                break
    return found


def plain(recipe: Recipe, prompts: dict[str, list[list[int]]]) -> dict[str, float]:
    """Seconds and tokens of `LLM.generate`, one call per stage with all prompts, in a process of its own."""
    stages = RefinerStages.of(recipe)
    spec = stages.chunk.generate.spec
    os.environ.update(spec.environment() | {"VLLM_LOGGING_LEVEL": "ERROR"})
    from vllm import LLM, SamplingParams

    options = spec.command(Path("model"), Path("socket"))
    engine = LLM(
        str(build(stages.chunk.refiner)),
        dtype=options[options.index("--dtype") + 1],
        max_model_len=stages.chunk.refiner.card.context_tokens,
        max_num_seqs=recipe.engine.max_num_seqs,
        kv_cache_memory_bytes=int(recipe.engine.cpu_kv_cache_gib * 2**30) if spec.device == "cpu" else None,
        gpu_memory_utilization=recipe.engine.gpu_memory_fraction,
        enforce_eager=not spec.compiles,
        generation_config="vllm",
        max_logprobs=2,
    )
    parameters = {}
    for name, stage in (("doc", stages.doc), ("chunk", stages.chunk)):
        settings = {
            k: v
            for k, v in stage.builder.request_parameters.items()
            if k not in ("return_tokens_as_token_ids", "structured_outputs")
        }
        if "logprob_token_ids" in settings:
            settings.pop("logprobs")
        parameters[name] = SamplingParams(**settings)
    warm = [{"prompt_token_ids": stages.chunk.builder.prompts(WARM_UP)[0].token_ids}]
    engine.generate(warm, parameters["chunk"], use_tqdm=False)
    result: dict[str, float] = {}
    for name in ("doc", "chunk"):
        begun = time.monotonic()
        outputs = engine.generate([{"prompt_token_ids": p} for p in prompts[name]], parameters[name], use_tqdm=False)
        result[f"{name}_seconds"] = time.monotonic() - begun
        result[f"{name}_tokens"] = sum(len(o.prompt_token_ids) + len(o.outputs[0].token_ids) for o in outputs)
    engine.llm_engine.engine_core.shutdown()  # its processes would keep this one from ending
    return result


def on_spark(recipe: Recipe, prompts: dict[str, list[list[int]]]) -> dict[str, float]:
    """Seconds and tokens of the generate stage in local[2], the engine started before."""
    from pyspark.sql import functions as F

    from udfs.generate import ANSWERS

    spark = build_session(recipe)
    stages = RefinerStages.of(recipe)
    result: dict[str, float] = {}
    warm = [("warm", stages.chunk.builder.prompts(WARM_UP)[0].token_ids)]
    schema = "generation_key string, token_ids array<int>"
    spark.createDataFrame(warm, schema).mapInArrow(stages.chunk.generate, ANSWERS).collect()
    for name, stage in (("doc", stages.doc), ("chunk", stages.chunk)):
        rows = (
            spark.createDataFrame([(str(i), ids) for i, ids in enumerate(prompts[name])], schema).repartition(2).cache()
        )
        rows.count()
        begun = time.monotonic()
        answers = rows.mapInArrow(stage.generate, ANSWERS).agg(
            F.sum(F.col("prompt_tokens") + F.col("output_tokens")), F.count("error_code")
        )
        tokens, errors = answers.collect()[0]
        result[f"{name}_seconds"] = time.monotonic() - begun
        result[f"{name}_tokens"] = tokens
        assert errors == 0, f"{errors} requests failed"
    spark.stop()
    return result


def _in_process(function, *args):  # type: ignore[no-untyped-def]
    # Not multiprocessing.Pool: its workers may not have children, and vLLM has.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, default=PAGES)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    args = parser.parse_args()
    recipe = Recipe.load(None, [f"engine.device={args.device}"])
    stages = RefinerStages.of(recipe)
    documents = texts(args.input, args.documents)
    prompts = {
        name: [p.token_ids for text in documents for p in stage.builder.prompts(text) if not p.skip_reason]
        for name, stage in (("doc", stages.doc), ("chunk", stages.chunk))
    }
    print(f"{len(documents)} documents, {len(prompts['doc'])} + {len(prompts['chunk'])} prompts, rates in tokens/s")
    for turn in range(args.rounds):
        a, b = _in_process(plain, recipe, prompts), _in_process(on_spark, recipe, prompts)
        for name in ("doc", "chunk"):
            rate_a, rate_b = (r[f"{name}_tokens"] / r[f"{name}_seconds"] for r in (a, b))
            print(
                f"round {turn + 1} {name:<6} plain {rate_a:8,.0f}  on Spark {rate_b:8,.0f}  ratio {rate_b / rate_a:.3f}"
            )


if __name__ == "__main__":
    main()
