"""The whole of ProX on twenty documents, by the commands that a user types: the CPU base is its own teacher."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from prox_spark.cli import main
from prox_spark.demo import PAGES
from prox_spark.refiners.card import load_card

pytestmark = [pytest.mark.engine, pytest.mark.long]

N_DOCUMENTS = 20
# Heads of pages: what is tested is the way, and a page costs the teacher five prompts.
N_LINES = 8


@pytest.fixture
def query(lake_root: str, capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[dict[str, object]]]:
    """Asks the lake by `prox-spark sql`."""

    def ask(sql: str) -> list[dict[str, object]]:
        capsys.readouterr()
        assert main(["sql", "--lake", lake_root, "--output", "json", sql]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return ask


def test_own_labels_make_an_own_refiner_that_is_judged_and_refines(
    lake_root: str, tmp_path: Path, query: Callable[[str], list[dict[str, object]]]
) -> None:
    pages, labels, made = tmp_path / "pages.jsonl", tmp_path / "labels.jsonl", tmp_path / "mine"
    # Some records are broken on purpose.
    whole = (line for line in PAGES.read_bytes().split(b"\n") if line.endswith(b"}") and b"\xff" not in line)
    texts = [json.loads(line).get("text") or "" for line in whole]
    heads = ["\n".join(text.split("\n")[:N_LINES]) for text in texts if len(text.split()) > 50][:N_DOCUMENTS]
    pages.write_text("\n".join(json.dumps({"id": str(n), "text": head}) for n, head in enumerate(heads)))
    assert main(["ingest", str(pages), "--lake", lake_root]) == 0

    assert main(["annotate", "--lake", lake_root, "--documents", str(N_DOCUMENTS), "--export", str(labels)]) == 0
    (counted,) = query("SELECT count(DISTINCT doc_id) AS documents, count_if(reason IS NULL) AS labels FROM labels")
    assert counted["documents"] == N_DOCUMENTS, "every document is a label, or a row that says why not"
    assert counted["labels"] == len(labels.read_text().splitlines()) > 0

    recipe = {
        "name": "mine",
        "start": {"refiner": "web-135m"},
        "labels": [{"path": f"{lake_root}/labels"}],
        "lora": {"rank": 4},
        "optimiser": {"steps": 3, "tokens_per_step": 600, "warmup_steps": 1},
        "checkpoints": {"every_steps": 3, "validation": [str(labels)], "validation_examples": 4},
    }
    (tmp_path / "adapt.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["adapt", str(tmp_path / "adapt.yaml"), "--output", str(made)]) == 0
    assert load_card(made / "refiner.yaml").name == "mine"

    report = tmp_path / "report"
    unchecked = ["--set", "self_test.enabled=false"]  # three steps make no good refiner
    evaluated = ["evaluate", str(labels), "--refiner", str(made), "--limit", "6", "--output", str(report), *unchecked]
    assert main(evaluated) == 0
    assert json.loads((report / "evaluation.json").read_text())

    mine = ["--set", f"refiners.doc={made}", "--set", f"refiners.chunk={made}"]
    assert main(["refine", "--lake", lake_root, *mine, *unchecked]) == 0
    (refined,) = query("SELECT count(DISTINCT doc_id) AS documents FROM refined")
    assert refined["documents"] == N_DOCUMENTS
    stages = query("SELECT DISTINCT stage FROM generations WHERE refiner = 'mine' ORDER BY stage")
    assert {"doc"} <= {row["stage"] for row in stages} <= {"doc", "chunk"}
