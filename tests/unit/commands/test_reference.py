"""The page about the commands against the commands themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from prox_spark import cli

pytestmark = pytest.mark.unit

PAGE = (Path(__file__).parents[3] / "docs/reference/commands.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)}


def read_section(command: str) -> str:
    """Return what the page says of a command: its section, those it refers to, and the common options."""
    own = SECTIONS[command]
    referred = re.findall(r"has the options of `(\w+)`", own)
    return "\n".join([own, SECTIONS["Common options"], *(SECTIONS[name] for name in referred)])


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_option_of_a_command_stands_on_the_page(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    # With its own line each; a description may name options of other commands.
    options = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", capsys.readouterr().out, flags=re.MULTILINE)
    assert "--help" in options
    assert [option for option in options if option not in read_section(command) and option != "--help"] == []


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_option_on_the_page_is_one_of_the_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    shown = capsys.readouterr().out
    named = re.findall(r"^\| `(--[a-z-]+)", SECTIONS[command], flags=re.MULTILINE)
    assert [option for option in named if option not in shown] == []


def test_every_command_is_in_the_list_and_has_a_section() -> None:
    assert [name for name in cli.COMMANDS if f"| [`{name}`](#{name}) |" not in PAGE or name not in SECTIONS] == []
