"""The notebook and the examples of the Python API, run as they stand with the real engine."""

from __future__ import annotations

import doctest
import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import prox_spark
from prox_spark import Recipe, api
from prox_spark.demo import PAGES

pytestmark = pytest.mark.engine

NOTEBOOK = Path(__file__).parents[2] / "examples" / "refine.ipynb"


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    shutil.copy(NOTEBOOK, tmp_path)
    notebook = nbformat.read(tmp_path / NOTEBOOK.name, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output
    )
    assert "3 new documents" in printed and "edited" in printed and "line_start" in printed
    assert "refine_frame|succeeded" in printed.replace(" ", "") or "refine|succeeded" in printed.replace(" ", "")


def test_the_notebook_is_stored_without_output() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)


def test_examples_of_the_api_show_what_they_return(spark: Any, tmp_path: Path) -> None:
    lines = PAGES.read_bytes().splitlines()[:2]
    (tmp_path / "pages.jsonl").write_bytes(b"\n".join(lines))
    names = {"spark": spark, "FOLDER": str(tmp_path), "PAGE": json.loads(lines[0])["text"]}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    examples = [test for test in doctest.DocTestFinder().find(api, extraglobs=names) if test.examples]
    assert len(examples) == 4
    # In the order of a lake's life: each goes on with what the one before has made.
    for test in sorted(examples, key=lambda test: ["refine", "ingest", "apply", "evaluate"].index(test.name[15:])):
        test.globs |= names
        runner.run(test, clear_globs=False)
        names |= {name: test.globs[name] for name in ("lake",) if name in test.globs}
    assert runner.summarize().failed == 0


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in prox_spark.__all__ if getattr(prox_spark, name, None) is None] == []
    assert prox_spark.Recipe is Recipe
    with pytest.raises(AttributeError, match="no attribute 'refined'"):
        _ = prox_spark.refined
