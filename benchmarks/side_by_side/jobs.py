"""The input of all ways: the same documents, weights, engine settings and environment."""

from __future__ import annotations

import json
import os
import random
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from efficiency.cases import texts

from prox_spark.config import Recipe
from prox_spark.engine.spec import EngineSpec
from prox_spark.refiners import find
from prox_spark.refiners.build import build

# Some ways see only the answer's text: greedy decoding drops from this probability on, so all ways do.
DROP_THRESHOLD = 0.5
# The default of vLLM's `LLM` class on a CPU, for all ways; the server's differs, but only the code around is compared.
_BATCHED_TOKENS = 4096
_NOT_THE_ENGINES = {"model", "served-model-name", "uds"}
WARM_UP = "A page about nothing in particular, so that the engine has answered once.\n" * 3


def recipe_of(device: str, settings: list[str]) -> Recipe:
    """Return the recipe of our way, from which all ways take their engine settings."""
    fixed = [
        f"engine.device={device}",
        f"engine.max_num_batched_tokens={_BATCHED_TOKENS}",
        f"apply.drop_threshold={DROP_THRESHOLD}",
    ]
    return Recipe.load(None, [*fixed, *settings])


def job_of(recipe: Recipe, documents: Path) -> dict[str, Any]:
    """Return the job of a way, for JSON, without its output folder.

    Args:
        recipe: a recipe with one refiner for both stages.
        documents: JSON Lines of `id` and `text`.
    """
    refiner = find(recipe.refiners.doc)
    spec = EngineSpec(refiner, recipe.engine)
    model = build(spec.served)
    return {
        "documents": str(documents),
        "model": str(model),
        "card": refiner.card.model_dump_json(),
        "fingerprint": refiner.model_fingerprint,
        "engine": _engine_settings(spec, model),
        "recipe": recipe.model_dump(mode="json"),
        "drop_threshold": recipe.apply.drop_threshold,
        "warm_up": WARM_UP,
    }


def _engine_settings(spec: EngineSpec, model: Path) -> dict[str, Any]:
    """Return the arguments of our server by vLLM's command line names; True for a flag."""
    words = [part for word in spec.build_command(model, Path("socket"))[3:] for part in word.split("=", 1)]
    found: dict[str, Any] = {}
    for word, after in pairwise([*words, "--"]):
        name = word.removeprefix("--")
        if word.startswith("--") and name not in _NOT_THE_ENGINES:
            found[name] = True if after.startswith("--") else _number_or_text(after)
    return found


def _number_or_text(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word


def environment_of(recipe: Recipe, root: Path, python: Path, folder: Path, binds: bool) -> dict[str, str]:
    """Return the environment of a way.

    Args:
        recipe: recipe with the engine settings.
        root: root of this repository.
        python: the interpreter; programs beside it are found first.
        folder: folder for temporary files.
        binds: True adds our engine's environment, which binds all cores to vLLM; our own way does so itself.
    """
    environment = dict(os.environ)
    if binds:
        environment = EngineSpec(find(recipe.refiners.doc), recipe.engine).build_environment()
    # Other interpreters must not see this one's packages.
    own_path = os.environ.get("PYTHONPATH", "") if python == Path(sys.executable) else ""
    for name in ("VIRTUAL_ENV", "PYTHONHOME", "JAVA_TOOL_OPTIONS"):
        environment.pop(name, None)
    return environment | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(root), str(root / "benchmarks"), own_path])),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(folder),
        "JDK_JAVA_OPTIONS": f"{os.environ.get('JDK_JAVA_OPTIONS', '')} -Djava.io.tmpdir={folder}".strip(),
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_COMPILE_LOCK_DIR": str(folder / "locks"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "HF_HUB_OFFLINE": "1",
    }


def write_documents(path: Path, pages: Path, n: int, seed: int) -> int:
    """Write n different documents.

    Args:
        path: JSON Lines of `id` and `text` to write.
        pages: JSON Lines with the texts; further documents join the end of one text and the beginning of another.
        n: number of documents.
        seed: seed of the further documents.

    Returns:
        Number of characters.
    """
    given = texts(pages, n)
    draw = random.Random(seed)
    lines = [text.split("\n") for text in given]
    while len(given) < n:
        ending, beginning = draw.choice(lines), draw.choice(lines)
        made = ending[draw.randrange(len(ending)) :] + beginning[: draw.randrange(1, len(beginning) + 1)]
        text = "\n".join(made)
        if len(text.split()) > 20:
            given.append(text)
    with path.open("w", encoding="utf-8") as out:
        for number, text in enumerate(given):
            print(json.dumps({"id": f"page-{number:06}", "text": text}), file=out)
    return sum(map(len, given))
