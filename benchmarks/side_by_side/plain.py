"""A process of its own: plain `LLM.generate`, a call for all documents, then one for all chunks. Prints its figures."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

from side_by_side.refinement import DROPPED, Refinement, documents, write_outcomes


def main(job: dict[str, Any]) -> None:
    """Run one job."""
    print(json.dumps(measure(job)), flush=True)


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Refine the job's documents.

    Returns:
        `spans` as all ways print them, and for each stage seconds, prompts, tokens, and the sum of the squares of the
        prompts' lengths.
    """
    import vllm
    from efficiency.cases import sampling

    refinement = Refinement(job)
    doc, chunk = (sampling(builder.request_parameters) for builder in (refinement.doc, refinement.chunk))
    settings = {name.replace("-", "_"): value for name, value in job["engine"].items()}
    llm = vllm.LLM(job["model"], **settings)

    stages: dict[str, dict[str, float]] = {}

    def answers(prompts: list[list[int]], parameters: Any, stage: str = "warm-up") -> list[Any]:
        begun = time.time()
        outputs = llm.generate([{"prompt_token_ids": ids} for ids in prompts], parameters, use_tqdm=False)
        stages[stage] = {
            "seconds": time.time() - begun,
            "prompts": len(outputs),
            "prompt_tokens": sum(map(len, prompts)),
            "squares": sum(len(ids) ** 2 for ids in prompts),
            "cached_tokens": sum(output.num_cached_tokens or 0 for output in outputs),
            "output_tokens": sum(len(output.outputs[0].token_ids) for output in outputs),
        }
        return [output.outputs[0] for output in outputs]

    answers([refinement.doc_prompt(job["warm_up"])], doc)
    answers([prompt.token_ids for prompt in refinement.chunk_prompts(job["warm_up"])], chunk)

    begun = time.time()
    rows = documents(job["documents"])
    keep, drop = refinement.doc.verdict_token_ids
    kept: list[dict[str, str]] = []
    for row, answer in zip(
        rows, answers([refinement.doc_prompt(row["text"]) for row in rows], doc, "doc"), strict=True
    ):
        found = {token: item.logprob for token, item in answer.logprobs[0].items()}
        odds = found.get(keep, -math.inf) - found.get(drop, -math.inf)
        if 1 / (1 + math.exp(min(odds, 700.0))) < job["drop_threshold"]:
            kept.append(row)
    prompts = {row["id"]: refinement.chunk_prompts(row["text"]) for row in kept}
    said = iter(answers([prompt.token_ids for row in kept for prompt in prompts[row["id"]]], chunk, "chunk"))

    def outcomes() -> Iterator[dict[str, str]]:
        for row in rows:
            if row["id"] in prompts:
                own = prompts[row["id"]]
                yield {"id": row["id"], **refinement.outcome(row["text"], own, [next(said).text for _ in own])}
            else:
                yield {"id": row["id"], **DROPPED}

    write_outcomes(job["out"], outcomes())
    ended = time.time()
    llm.llm_engine.engine_core.shutdown()  # on a GPU this process could not end before its children
    return {"spans": [[begun, ended]], "stages": stages, "versions": {"vllm": vllm.__version__}}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
