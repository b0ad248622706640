"""Pages, a refiner without weights, and a recipe that refines these pages with it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
sys.path[:0] = [str(TESTS / "support")]

from tiny_tokenizer import bytes_json  # noqa: E402
from weightless import write_weightless  # noqa: E402

TASKS = {
    "doc": {"template": "plain", "max_text_tokens": 64},
    "chunk": {"template": "plain", "max_chunk_tokens": 512, "max_answer_tokens": 16},
}


def make(folder: Path, name: str, n_documents: int, n_lines: int, wave: int) -> Path:
    """Write pages and a recipe.

    Args:
        folder: folder for both.
        name: name of the recipe and of its lake.
        n_documents: number of pages, all different.
        n_lines: lines of a page, about 50 bytes each.
        wave: documents in a wave.

    Returns:
        The file of the recipe.
    """
    pages = folder / f"{name}.jsonl"
    with pages.open("w") as out:
        for number in range(n_documents):
            lines = [f"Line {line} of page {number} says {number * line} words of no use." for line in range(n_lines)]
            out.write(json.dumps({"id": f"page-{number}", "text": "\n".join(lines)}) + "\n")
    refiner = folder / "refiner"
    refiner.mkdir(exist_ok=True)
    (refiner / "tokenizer.json").write_text(bytes_json())
    weightless = write_weightless(refiner, context_tokens=1024, tasks=TASKS)
    recipe: dict[str, Any] = {
        "input": {"paths": [str(pages)]},
        "lake": {"root": str(folder / f"{name}-lake")},
        "refiners": {"doc": weightless, "chunk": weightless},
        "engine": {"device": "cpu", "max_num_seqs": 32, "window_factor": 1.0},
        "self_test": {"enabled": False},  # the answers of a FAKE would fail it
        "waves": {"documents": wave},
        "spark": {"driver_memory": "2g", "conf": {"spark.ui.retainedStages": "1000000"}},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def environment(root: Path, folder: Path) -> dict[str, str]:
    """Return the environment of a process that runs a build with the FAKE engine in place of vLLM.

    The process must run outside of a checkout: Spark's Python workers look for modules in their working folder first.

    Args:
        root: checkout of the build.
        folder: folder for the engines' files.
    """
    path = os.pathsep.join([str(TESTS / "support" / "fake_engine"), str(root), str(ROOT / "benchmarks")])
    ours = {"PYTHONPATH": path, "PROX_SPARK_RUNTIME": str(folder / "runtime"), "SPARK_LOCAL_IP": "127.0.0.1"}
    (folder / "runtime").mkdir(exist_ok=True)
    return {name: value for name, value in os.environ.items() if name != "JAVA_TOOL_OPTIONS"} | ours
