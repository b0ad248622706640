"""The documentation holds what the product takes: its commands, overrides and recipes."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from prox_spark import cli
from prox_spark.config import Recipe

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


def commands() -> list[tuple[str, list[str]]]:
    """Every `prox-spark` and `spark-submit` command in a block, with the page that holds it."""
    found = []
    for page in PAGES:
        for block in blocks(page, "", "bash", "console", "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.strip().removeprefix("$ "), comments=True) if "prox-spark" in line else []
                if words[:1] == ["prox-spark"]:
                    found.append((page.name, words[1:]))
                job = re.search(r"spark-submit .*?\bjobs/(\w+)\.py(.*)", line)
                if job:
                    found.append((page.name, [job[1], *shlex.split(job[2], comments=True)]))
    return found


COMMANDS = commands()


def test_the_documentation_has_every_command() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in cli.COMMANDS if f"prox-spark {name}" not in page and f"`{name}`" not in page] == []
    assert len(COMMANDS) > 30


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=lambda part: part if isinstance(part, str) else " ".join(part)
)
def test_a_command_of_the_documentation_is_one(page: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if words[0] not in cli.COMMANDS:
        assert words[0] in ("COMMAND", "--version", "--help"), page
        return
    module = import_module(f"prox_spark.commands.{words[0]}")
    monkeypatch.setattr(module, "run_command", lambda *_, **__: 0)
    try:
        assert cli.main(words) == 0
    except SystemExit as end:  # argparse's help ends so
        assert end.code == 0
    if words[0] not in ("adapt", "refiners"):
        overrides = [value for option, value in pairwise(words) if option in ("--set", "--with")]
        Recipe.load(None, overrides=overrides)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_recipes_of_the_documentation_can_be_loaded(page: Path) -> None:
    for block in blocks(page, "yaml"):
        parts = yaml.safe_load(block)
        if isinstance(parts, dict) and parts.keys() <= Recipe.model_fields.keys():
            Recipe.parse(parts)
