"""Case one-endless-run: texts without a break and of very many lines, through a whole run on a FAKE engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fake_vllm import use_fake_engine
from tiny_tokenizer import bytes_json
from weightless import write_weightless

from prox_spark.config import Recipe
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import RefineSummary, refine_lake
from prox_spark.programs.words import count_words

pytestmark = pytest.mark.spark

NOTES = "Heron notes, number 0\nThe heron stood in the shallow water and waited for the fish.\n"
TEXTS = {
    "underscores": NOTES + "_" * 400_000 + "\n" + NOTES,
    "base64": NOTES + "QmFzZTY0IHJ1bnMgYXJlIG9uZSB3b3Jk" * 12_000 + "\n" + NOTES,
    "blanks": NOTES + " " * 400_000 + "\n" + NOTES,
    "same-letter": "a" * 900_000,
    "lines": "\n" * 20_000 + NOTES,
    "many-lines": "\n".join(f"{number} heron" for number in range(12_000)),
    "same-line": "Back to top\n" * 6_000 + NOTES,
    "emoji": "👩\u200d👩\u200d👧\u200d👦" * 20_000,
    "combining": "e" + "\u0301" * 100_000,
    "control": NOTES * 3,
}
TASKS = {
    "doc": {"template": "plain", "max_text_tokens": 64, "drop_threshold": 0.99},
    "chunk": {"template": "plain", "max_chunk_tokens": 4_000, "max_line_tokens": 200, "max_answer_tokens": 16},
}


@pytest.fixture(scope="module")
def refined(
    spark: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, dict[str, Any]], RefineSummary]]:
    """Rows of `refined` by document, and what the run says."""
    folder = tmp_path_factory.mktemp("endless")
    (folder / "tokenizer.json").write_text(bytes_json())
    refiner = write_weightless(folder, context_tokens=16_384, tasks=TASKS)
    pages = [json.dumps({"id": name, "text": text}) for name, text in TEXTS.items()]
    (folder / "runs.jsonl").write_text("\n".join(pages))
    recipe = Recipe.parse(
        {
            "input": {"paths": [str(folder / "runs.jsonl")], "id_column": "id"},
            "lake": {"root": str(folder / "lake")},
            "refiners": {"doc": refiner, "chunk": refiner},
            "engine": {"device": "cpu"},
            "self_test": {"enabled": False},  # the FAKE's answers are no refiner's
        }
    )
    ingest(spark, recipe)
    with use_fake_engine(spark):
        summary = refine_lake(spark, recipe)
        rows = spark.read.format("delta").load(f"{folder}/lake/refined").collect()
        yield {row["doc_id"]: row.asDict(recursive=True) for row in rows}, summary


def test_every_text_has_its_row_and_no_engine_was_lost(refined: tuple[dict[str, Any], RefineSummary]) -> None:
    rows, summary = refined
    assert rows.keys() == TEXTS.keys()
    assert sum(summary.statuses.values()) == len(TEXTS) and not summary.statuses.get("quarantined")
    assert (summary.run.engine_total("starts"), summary.run.engine_total("restarts")) == (1, 0)


def test_what_stays_is_as_it_was_and_what_went_adds_up(refined: tuple[dict[str, Any], RefineSummary]) -> None:
    rows, _ = refined
    kept = {name: row for name, row in rows.items() if row["status"] in ("kept_unchanged", "edited")}
    assert {"many-lines", "same-line"} <= kept.keys()
    for name, row in kept.items():
        lines = TEXTS[name].split("\n")
        gone = {n for span in row["removed"] for n in range(span["line_start"], span["line_end"] + 1)}
        assert row["text"] == "\n".join(line for number, line in enumerate(lines) if number not in gone)
        removed = "\n".join(lines[number] for number in sorted(gone))
        assert row["words_before"] - row["words_after"] == count_words(removed)
