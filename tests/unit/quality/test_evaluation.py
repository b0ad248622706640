"""Tables, JSON and plots made of labels and predictions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from prox_spark.config import Recipe
from prox_spark.errors import RefinerError
from prox_spark.labels import Label, make_removals
from prox_spark.pipeline.evaluate import with_refiner
from prox_spark.quality.baselines import Baseline
from prox_spark.quality.evaluation import Evaluation, Prediction, evaluate_predictions
from prox_spark.quality.programs import score_programs
from prox_spark.report.evaluation import print_evaluation, write_evaluation

pytestmark = pytest.mark.unit

LABELS = [
    Label("1", "documents", "good words here", keep=True),
    Label("2", "documents", "junk", keep=False),
    Label("3", "documents", "more good words", keep=True),
    Label("4", "lines", "menu\nprose of a kind", 5, ops=make_removals([True, False], 5)),
    Label("5", "both", "prose\nshare", keep=True, ops=make_removals([False, True])),
]
PREDICTIONS = [
    Prediction(0.1),
    Prediction(0.9),
    Prediction(None),  # the request failed
    Prediction(None, frozenset({5})),
    Prediction(0.7, frozenset()),
]
REMOVE = Baseline("remove everything", lambda text: 1.0, lambda lines: [True] * len(lines))
LINES_ONLY = Baseline("lines only", removes=lambda lines: [len(line) < 6 for line in lines])


def evaluate(labels: list[Label] = LABELS, predictions: list[Prediction] = PREDICTIONS) -> Evaluation:
    programs = score_programs([(1, []), (1, ["stray_text"])])
    refiners = {"doc": "tiny", "chunk": "tiny"}
    return evaluate_predictions(labels, predictions, programs, [REMOVE, LINES_ONLY], refiners, threshold=0.65)


def test_refiner_and_baselines_are_held_against_the_same_labels() -> None:
    found = evaluate()
    assert [of.name for of in found.methods] == ["tiny", "remove everything", "lines only"]
    refiner, remove, lines_only = found.methods
    assert refiner.documents and remove.documents and lines_only.documents is None
    assert refiner.documents.n_documents == remove.documents.n_documents == 3 and found.n_unanswered == 1
    assert (refiner.documents.keep.f1, refiner.documents.auc, remove.documents.auc) == (pytest.approx(2 / 3), 1.0, 0.5)
    assert refiner.lines and remove.lines and lines_only.lines
    assert refiner.lines.removed.micro.f1 == pytest.approx(2 / 3) and remove.lines.removed.micro.recall == 1.0
    assert lines_only.lines.removed.micro.n_found == 2 and lines_only.lines.removed.micro.n_false == 1
    assert found.best and found.best.threshold == 0.9 and found.best.f1 == 1.0


def test_a_model_that_serves_no_stage_is_not_evaluated_as_another() -> None:
    with pytest.raises(RefinerError, match="smollm2-135m-instruct serves no stage"):
        with_refiner(Recipe(), "smollm2-135m-instruct")
    assert with_refiner(Recipe(), "gair-prox/web-doc-refining-lm").refiners.chunk == Recipe().refiners.chunk


def test_label_sets_are_told_apart() -> None:
    by_set = {of.name: of for of in evaluate().label_sets}
    assert list(by_set) == ["both", "documents", "lines"]
    assert by_set["lines"].documents is None and by_set["documents"].lines is None
    both = by_set["both"]
    assert both.documents and both.lines and both.documents.n_documents == both.lines.n_texts == 1


def test_shown_thresholds_are_exact_however_many_documents_there_are() -> None:
    n = 2001  # more probabilities than a curve has points
    labels = [Label(str(number), "s", "word", keep=number % 3 > 0) for number in range(n)]
    found = evaluate(labels, [Prediction(number / n) for number in range(n)])
    assert len(found.curve) < n
    assert [point.threshold for point in found.shown] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    for point in found.shown:
        kept = [number for number in range(n) if number / n < point.threshold]
        assert point.precision == sum(number % 3 > 0 for number in kept) / len(kept)
        assert point.words_kept == len(kept) / n


def test_tables_say_what_they_are_about(capsys: pytest.CaptureFixture[str]) -> None:
    print_evaluation(evaluate())
    out = capsys.readouterr().out
    assert "evaluate: 5 labels, doc stage by tiny, chunk stage by tiny" in out
    assert re.search(r"Documents: 3, 2 of them to keep", out) and "1 documents without a verdict" in out
    assert re.search(r"\n *remove everything +0\.000 +0\.000 +0\.000 +0\.500 +0\.000", out)
    assert re.search(r"Lines: 4 with words in 2 texts, 2 of them to remove", out)
    assert "Programs: 1 of 2 valid (50.0%); stray_text 1" in out and "The refiner by label set" in out


@pytest.mark.parametrize("kind", ["documents", "lines"])
def test_labels_of_one_kind_are_enough(kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    chosen = [pair for pair in zip(LABELS, PREDICTIONS, strict=True) if pair[0].label_set == kind]
    found = evaluate([label for label, _ in chosen], [prediction for _, prediction in chosen])
    print_evaluation(found)
    write_evaluation(found, tmp_path)
    out = capsys.readouterr().out
    assert ("Programs:" in out) == (kind == "lines") and ("Thresholds:" in out) == (kind == "documents")
    assert (tmp_path / "calibration.png").exists() == (kind == "documents")


def test_files_hold_everything(tmp_path: Path) -> None:
    write_evaluation(evaluate(), tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    data = json.loads((folder / "evaluation.json").read_text())
    assert data["methods"][0]["documents"]["keep"]["n_found"] == 1
    assert data["methods"][1]["lines"]["removed"]["micro"]["recall"] == 1.0
    assert data["programs"]["findings"] == {"stray_text": 1} and len(data["curve"]) == 4
    plots = sorted(path.name for path in folder.glob("*.png"))
    assert plots == ["calibration.png", "precision_recall.png", "threshold.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.glob("*.png"))
