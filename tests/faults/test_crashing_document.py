"""A whole run on a FAKE engine that one document's prompt kills, with two task slots."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tokenizers import Tokenizer

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "unit"))

from tiny_tokenizer import bytes_json  # noqa: E402

pytestmark = [pytest.mark.faults, pytest.mark.spark]

N_DOCUMENTS = 12
# A process of its own: the Python workers of a session have the environment that its JVM was started in.
RUN = """
import json, sys
from prox_spark.config import Recipe
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import refine_lake
from prox_spark.session import build_session
recipe = Recipe.parse(json.loads(sys.argv[1]))
spark = build_session(recipe)
ingest(spark, recipe)
summary = refine_lake(spark, recipe)
quarantine = spark.read.format("delta").load(f"{recipe.lake.root}/quarantine").select("doc_id", "stage", "reason", "message")
print(json.dumps({"statuses": summary.statuses, "quarantine": [row.asDict() for row in quarantine.collect()]}))
spark.stop()
"""


def make_refiner(folder: Path) -> str:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text(bytes_json())
    tasks = {
        "doc": {"template": "plain", "max_text_tokens": 32},
        "chunk": {"template": "plain", "max_chunk_tokens": 128, "max_answer_tokens": 16},
    }
    card = {"name": "none", "licence": "MIT", "base": {"path": "."}, "context_tokens": 256, "tasks": tasks}
    (folder / "refiner.yaml").write_text(yaml.safe_dump(card))
    return str(folder)


def test_a_document_whose_prompt_crashes_the_engine_is_quarantined_and_the_others_are_refined(tmp_path: Path) -> None:
    refiner = make_refiner(tmp_path / "refiner")
    words = "is an ordinary page of more than ten words, as most are"
    texts = [f"Number {n} {words}" for n in range(N_DOCUMENTS)]
    texts[7] = "~" + texts[7]
    lines = (json.dumps({"id": f"doc-{n}", "text": text}) for n, text in enumerate(texts))
    (tmp_path / "pages.jsonl").write_text("\n".join(lines))
    recipe = {
        "input": {"paths": [str(tmp_path / "pages.jsonl")]},
        "lake": {"root": str(tmp_path / "lake")},
        "refiners": {"doc": refiner, "chunk": refiner},
        "engine": {"device": "cpu"},
    }
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "fake_engine"), str(ROOT)]),
        "PROX_SPARK_RUNTIME": str(tmp_path / "r"),
        "FAKE_ENGINE": json.dumps({"latency": 0.05, "poison": Tokenizer.from_str(bytes_json()).token_to_id("~")}),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(recipe)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    (row,) = found["quarantine"]
    assert (row["doc_id"], row["stage"], row["reason"]) == ("doc-7", "doc", "engine_crash")
    assert "died 3 times with this prompt in flight" in row["message"]
    assert found["statuses"].pop("quarantined") == 1
    assert sum(found["statuses"].values()) == N_DOCUMENTS - 1
