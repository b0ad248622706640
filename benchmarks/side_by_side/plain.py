"""A process of its own: plain `LLM.generate`, all documents in one call and then all chunks in another. Prints what it measured."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

from side_by_side.refinement import DROPPED, Refinement, documents, write_outcomes


def main(job: dict[str, Any]) -> None:
    """Runs one job."""
    import vllm
    from efficiency.cases import sampling

    refinement = Refinement(job)
    doc, chunk = (sampling(builder.request_parameters) for builder in (refinement.doc, refinement.chunk))
    settings = {name.replace("-", "_"): value for name, value in job["engine"].items()}
    llm = vllm.LLM(job["model"], **settings)

    def answers(prompts: list[list[int]], parameters: Any) -> list[Any]:
        asked = [{"prompt_token_ids": prompt} for prompt in prompts]
        return [output.outputs[0] for output in llm.generate(asked, parameters, use_tqdm=False)]

    answers([refinement.doc_prompt(job["warm_up"])], doc)
    answers([prompt.token_ids for prompt in refinement.chunk_prompts(job["warm_up"])], chunk)

    begun = time.time()
    rows = documents(job["documents"])
    keep, drop = refinement.doc.verdict_token_ids
    kept: list[dict[str, str]] = []
    for row, answer in zip(rows, answers([refinement.doc_prompt(row["text"]) for row in rows], doc), strict=True):
        told = {token: of.logprob for token, of in answer.logprobs[0].items()}
        if told.get(drop, -math.inf) < told.get(keep, -math.inf):
            kept.append(row)
    prompts = {row["id"]: refinement.chunk_prompts(row["text"]) for row in kept}
    said = iter(answers([prompt.token_ids for row in kept for prompt in prompts[row["id"]]], chunk))

    def outcomes() -> Iterator[dict[str, str]]:
        for row in rows:
            if row["id"] in prompts:
                own = prompts[row["id"]]
                yield {"id": row["id"], **refinement.outcome(row["text"], own, [next(said).text for _ in own])}
            else:
                yield {"id": row["id"], **DROPPED}

    write_outcomes(job["out"], outcomes())
    print(json.dumps({"spans": [[begun, time.time()]], "versions": {"vllm": vllm.__version__}}), flush=True)
    llm.llm_engine.engine_core.shutdown()  # on a GPU its processes would keep this one from ending


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
