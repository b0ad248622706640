from __future__ import annotations

import argparse

import pytest

from prox_spark.commands.arguments import (
    add_annotation_arguments,
    add_input_arguments,
    add_recipe_arguments,
    make_recipe,
)
from prox_spark.commands.run_command import run_command
from prox_spark.config import Recipe
from prox_spark.errors import LakeError, RecipeError

pytestmark = pytest.mark.unit


def parse(*argv: str) -> Recipe:
    parser = argparse.ArgumentParser()
    add_input_arguments(parser)
    add_annotation_arguments(parser)
    add_recipe_arguments(parser)
    return make_recipe(parser.parse_args(argv))


def test_annotation_options_win_over_set_and_the_others_stay() -> None:
    given = ("--documents", "5", "--label-set", "mine", "--set", "annotation.documents=7", "--set", "annotation.seed=3")
    annotation = parse(*given).annotation
    assert (annotation.documents, annotation.label_set, annotation.seed) == (5, "mine", 3)
    assert annotation.teacher == Recipe().annotation.teacher


def test_options_win_over_set_and_set_over_the_file(tmp_path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("input: {paths: [a.jsonl], source: file, text_column: file}\nlake: {catalog: a.b}\n")
    recipe = parse(
        "b.jsonl",
        *("--recipe", str(file), "--set", "input.source=set", "--set", "input.text_column=set"),
        *("--text-column", "option", "--lake", "here"),
    )
    assert recipe.input.paths == ["a.jsonl", "b.jsonl"]
    assert (recipe.input.source, recipe.input.text_column) == ("set", "option")
    assert (recipe.lake.root, recipe.lake.catalog) == ("here", None)


def test_lake_and_catalog_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse("--lake", "x", "--catalog", "a.b")
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [(RecipeError("bad recipe"), 2), (LakeError("no lake"), 1), (ValueError("first\n\nJVM stacktrace:\nx"), 1)],
)
def test_an_error_is_one_message_and_a_status(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    assert run_command(fail) == status
    shown = capsys.readouterr().err
    assert shown.startswith("prox-spark: ") and shown.count("\n") == 1 and "Traceback" not in shown
    assert run_command(fail, debug=True) == status
    assert "Traceback" in capsys.readouterr().err
