"""The JSON schemas in conf/, by which editors complete and check recipes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from prox_spark import cli

pytestmark = pytest.mark.unit

CONF = Path(__file__).parents[3] / "conf"
FILES = {"recipe": sorted((CONF / "recipes").glob("*.yaml")), "adapt": sorted((CONF / "adapt").glob("*.yaml"))}


def schema(kind: str) -> dict[str, Any]:
    return json.loads((CONF / f"{kind}.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", FILES)
def test_the_schema_that_is_checked_in_is_the_one_that_config_prints(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["config", "--schema", kind]) == 0
    checked_in = (CONF / f"{kind}.schema.json").read_text(encoding="utf-8")
    assert capsys.readouterr().out == checked_in, f"run `prox-spark config --schema {kind} > conf/{kind}.schema.json`"


def test_config_prints_the_schema_of_a_run_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema("recipe")


@pytest.mark.parametrize(("kind", "file"), [(kind, file) for kind, files in FILES.items() for file in files])
def test_a_recipe_that_ships_names_its_schema_and_keeps_to_it(kind: str, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    named = text.partition("\n")[0].removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / named).resolve() == CONF / f"{kind}.schema.json"
    pytest.importorskip("jsonschema").validate(yaml.safe_load(text), schema(kind))
