"""The ProX authors' way in processes of its own, rewritten from their paper and repository. Prints its figures.

Two scripts run one after the other: the first judges documents, the second refines the kept ones. Each starts a
process per rank with a vLLM `LLM`. A rank reads its whole share of the input into a list, makes all prompts, calls
`generate` once and writes JSON Lines. The document refiner's answer is text; the programs of a document's chunks are
joined and executed once. Executor and line packing are our `reference`, which returns the same as theirs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from prox_spark.engine.host.cores import build_openmp_binding, format_cores
from side_by_side.refinement import DROPPED, Refinement, documents, write_outcomes


def main(job: dict[str, Any]) -> None:
    """Run both steps."""
    import vllm

    out = Path(job["out"])
    spans = [run_step(job, step) for step in ("doc", "chunk")]
    refined = {row["id"]: row for rank in range(job["ranks"]) for row in documents(out / f"chunk-{rank}.jsonl")}
    rows = documents(job["documents"])
    write_outcomes(out, ({"id": row["id"], **refined.get(row["id"], DROPPED)} for row in rows))
    print(json.dumps({"spans": spans, "versions": {"vllm": vllm.__version__}}), flush=True)


def run_step(job: dict[str, Any], step: str) -> list[float]:
    """Run all ranks of a step, and return the first begin and the last end of their work, engine starts left out."""
    running = []
    for rank in range(job["ranks"]):
        command = [sys.executable, __file__, json.dumps(job | {"step": step, "rank": rank})]
        cores = format_cores(sorted(os.sched_getaffinity(0))[rank :: job["ranks"]])
        own = os.environ | {"VLLM_CPU_OMP_THREADS_BIND": cores} | build_openmp_binding(cores)
        running.append(subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True))
    printed = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit(f"a rank of the {step} step failed")
    times = [json.loads(words.splitlines()[-1]) for words in printed]
    return [min(begun for begun, _ in times), max(ended for _, ended in times)]


def run_rank(job: dict[str, Any]) -> None:
    """Run one rank of a step."""
    import vllm

    out, rank = Path(job["out"]), job["rank"]
    refinement = Refinement(job)
    settings = {name.replace("-", "_"): value for name, value in job["engine"].items()}
    llm = vllm.LLM(job["model"], **settings)

    def answers(prompts: list[list[int]], parameters: dict[str, Any]) -> list[str]:
        asked = [{"prompt_token_ids": prompt} for prompt in prompts]
        outputs = llm.generate(asked, vllm.SamplingParams(**parameters), use_tqdm=False)
        return [output.outputs[0].text for output in outputs]

    builder = refinement.doc.without_constraints()
    answers([refinement.doc_prompt(job["warm_up"])], builder.request_parameters)

    begun = time.time()
    if job["step"] == "doc":
        rows = documents(job["documents"])[rank :: job["ranks"]]
        said = answers([refinement.doc_prompt(row["text"]) for row in rows], builder.request_parameters)
        kept = [row for row, answer in zip(rows, said, strict=True) if "drop" not in answer]
        _write(out / f"doc-{rank}.jsonl", iter(kept))
    else:
        rows = documents(out / f"doc-{rank}.jsonl")
        packing = replace(refinement.chunk, packing="reference")
        prompts = [[p for p in packing.build_prompts(row["text"]) if not p.skip_reason] for row in rows]
        said = answers([p.token_ids for own in prompts for p in own], packing.request_parameters)
        _write(out / f"chunk-{rank}.jsonl", _refined(rows, prompts, said))
    print(json.dumps([begun, time.time()]), flush=True)
    llm.llm_engine.engine_core.shutdown()


def _refined(rows: list[dict[str, str]], prompts: list[list[Any]], answers: list[str]) -> Iterator[dict[str, str]]:
    from prox_spark.programs import run_reference

    left = iter(answers)
    for row, own in zip(rows, prompts, strict=True):
        done = run_reference(row["text"], "\n".join(next(left).strip(" ") for _ in own))
        yield {"id": row["id"], "status": str(done.status), "text": done.text}


def _write(path: Path, rows: Iterator[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        for row in rows:
            print(json.dumps(row), file=out)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    (run_rank if "step" in given else main)(given)
