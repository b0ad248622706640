"""The input of all ways: one engine's settings, and the requests of a stage."""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prox_spark.config import Recipe
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.udfs.generate import Generate

_TINY_CARD = {
    "name": "tiny-random",
    "licence": "Apache-2.0",
    "base": {"path": "."},
    "bos": "<s>",
    "context_tokens": 512,
    "tasks": {
        "doc": {"template": "llama2-chat", "max_text_tokens": 300},
        "chunk": {"template": "llama2-chat-doc", "max_chunk_tokens": 300, "max_answer_tokens": 8},
    },
}


@dataclass(frozen=True)
class Case:
    """Requests that are timed together.

    Attributes:
        name: name in printed lines.
        recipe: engine settings and refiner.
        generate: the stage's UDF, with engine and request parameters.
        request: body of a request without the prompt.
        prompts: token ids of each prompt.
        warm_up: token ids of a prompt that is asked first; it shares only the template with the others.
    """

    name: str
    recipe: Recipe
    generate: Generate
    request: dict[str, Any]
    prompts: list[list[int]]
    warm_up: list[int]


def refiner_cases(recipe: Recipe, pages: Path, n_documents: int) -> list[Case]:
    """Return both stages of the recipe's refiner over the texts of a JSON Lines file."""
    stages = RefinerStages.of(recipe)
    documents = texts(pages, n_documents)
    warm_up = "A page about nothing in particular, so that the engine has answered once.\n" * 3
    return [
        Case(
            name=f"{recipe.refiners.chunk} {stage.builder.stage}",
            recipe=recipe,
            generate=stage.generate,
            request=stage.builder.request_parameters,
            prompts=[p.token_ids for text in documents for p in stage.builder.build_prompts(text) if not p.skip_reason],
            warm_up=stage.builder.build_prompts(warm_up)[0].token_ids,
        )
        for stage in (stages.doc, stages.chunk)
    ]


def tiny_cases(recipe: Recipe, folder: Path, n_prompts: int) -> list[Case]:
    """Return many short prompts for a random Llama so small and fast that the code around the engine dominates."""
    sys.path.append(str(Path(__file__).parents[2] / "tests" / "support"))
    from random_llama import write_random_llama  # the tests' model

    write_random_llama(folder)
    (folder / "refiner.yaml").write_text(json.dumps(_TINY_CARD))
    recipe = recipe.model_copy(
        update={"refiners": recipe.refiners.model_copy(update={"doc": str(folder), "chunk": str(folder)})}
    )
    stage = RefinerStages.of(recipe).chunk
    draw = random.Random(0)
    n_vocabulary = stage.builder.tokenizer.get_vocab_size()
    prompts = [[1, *draw.choices(range(3, n_vocabulary), k=draw.randint(100, 300))] for _ in range(n_prompts + 1)]
    # A random model's answers end anywhere; without an end token all have one length.
    request = {**stage.builder.request_parameters, "ignore_eos": True}
    generate = Generate(stage.generate.spec, json.dumps(request))
    return [Case("tiny-random chunk", recipe, generate, request, prompts[:-1], prompts[-1])]


def texts(path: Path, limit: int) -> list[str]:
    """Return the first readable texts of a JSON Lines file."""
    found: list[str] = []
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for line in lines:
            try:
                text = json.loads(line.decode()).get("text")
            except ValueError:
                continue  # the sample has broken records on purpose
            if text and text.split():
                found.append(text)
            if len(found) == limit:
                break
    return found


def sampling(request: dict[str, Any]) -> Any:
    """Return a request's parameters for vLLM's Python interface, without those that only shape the server's JSON."""
    from vllm import SamplingParams

    settings = {k: v for k, v in request.items() if k not in ("return_tokens_as_token_ids", "structured_outputs")}
    if "logprob_token_ids" in settings:
        settings.pop("logprobs")
    return SamplingParams(**settings)


def n_tokens(outputs: Sequence[Any]) -> int:
    """Count the prompt and answer tokens of vLLM's outputs."""
    return sum(len(o.prompt_token_ids) + len(o.outputs[0].token_ids) for o in outputs)
