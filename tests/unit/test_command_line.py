from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from prox_spark import __version__, cli
from prox_spark.arguments import run_command
from prox_spark.config import Recipe, reference
from prox_spark.errors import ConservationError, EngineStartError, LakeError, RecipeError, RefinerError
from prox_spark.refiners import known

pytestmark = pytest.mark.unit

Capture = pytest.CaptureFixture[str]


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_commands_and_is_no_error(flag: str, capsys: Capture) -> None:
    assert cli.main([flag]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: prox-spark COMMAND") and all(f"\n  {name} " in out for name in cli.COMMANDS)


def test_no_command_is_a_usage_error_that_lists_them(capsys: Capture) -> None:
    assert cli.main([]) == 2
    assert "usage: prox-spark COMMAND" in capsys.readouterr().out


def test_an_unknown_command_is_a_usage_error_on_stderr(capsys: Capture) -> None:
    assert cli.main(["refin", "--lake", "x"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("prox-spark: no command 'refin'\n\nusage:")


def test_the_version_is_that_of_the_package(capsys: Capture) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"prox-spark {__version__}\n"


def test_without_arguments_those_of_the_process_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["prox-spark", "--version"])
    assert cli.main() == 0


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_command_is_a_module_that_is_there(name: str) -> None:
    assert importlib.util.find_spec(cli.COMMANDS[name][0]) is not None


@pytest.mark.parametrize("name", ["config", "refiners"])
def test_an_unknown_option_is_a_usage_error(name: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([name, "--bogus"])
    assert stopped.value.code == 2 and f"usage: prox-spark {name}" in capsys.readouterr().err


def test_lake_and_catalog_together_are_a_usage_error(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["config", "--show", "--lake", "a", "--catalog", "b.c"])
    assert stopped.value.code == 2 and "not allowed with argument" in capsys.readouterr().err


def test_config_prints_the_reference(capsys: Capture) -> None:
    assert cli.main(["config"]) == 0
    assert capsys.readouterr().out == reference() + "\n"


def test_config_shows_the_recipe_that_the_arguments_make(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("name: nightly\napply: {min_words: 3}\n", encoding="utf-8")
    assert cli.main(["config", "--show", "--recipe", str(file), "--set", "apply.max_errors=5", "--lake", "here"]) == 0
    recipe = Recipe.parse(yaml.safe_load(capsys.readouterr().out))
    assert (recipe.name, recipe.lake.root, recipe.apply.min_words, recipe.apply.max_errors) == ("nightly", "here", 3, 5)


def test_config_shows_no_secrets(capsys: Capture) -> None:
    assert cli.main(["config", "--show", "--set", "spark.conf.spark.hadoop.fs.s3a.secret.key=hush"]) == 0
    out = capsys.readouterr().out
    assert "fs.s3a.secret.key" in out and "hush" not in out


@pytest.mark.parametrize(
    "arguments", [["--set", "aply.x=1"], ["--set", "nonsense"], ["--recipe", "/no/such.yaml"]], ids=str
)
def test_a_recipe_error_is_a_usage_error_on_stderr(arguments: list[str], capsys: Capture) -> None:
    assert cli.main(["config", "--show", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("prox-spark: ")


def test_refiners_are_listed_with_their_stages(capsys: Capture) -> None:
    assert cli.main(["refiners", "list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == known()
    assert next(row for row in rows if row[0] == "web-135m")[1] == "doc+chunk"


def test_an_unknown_refiner_is_one_readable_line(capsys: Capture) -> None:
    assert cli.main(["refiners", "build", "nobody"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("prox-spark: no refiner 'nobody'") and err.count("\n") == 1


@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_status_of_a_command_is_its_own(status: int) -> None:
    assert run_command(lambda: status) == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RecipeError("x"), 2),
        (LakeError("x"), 1),
        (RefinerError("x"), 1),
        (EngineStartError("x"), 1),
        (ConservationError("x"), 1),
        (ValueError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=repr,
)
def test_an_error_has_its_exit_status(error: BaseException, status: int) -> None:
    assert run_command(raising(error)) == status


def test_an_error_of_ours_is_its_message_alone(capsys: Capture) -> None:
    run_command(raising(LakeError("no table documents: run `prox-spark ingest`")))
    assert capsys.readouterr().err == "prox-spark: no table documents: run `prox-spark ingest`\n"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("disk full", "ValueError: disk full"),
        ("", "ValueError: no message"),
        ("Job aborted.\n\nJVM stacktrace:\njava.lang", "ValueError: Job aborted."),
        ("Task failed\n\tat org.apache.spark.Task\n\tat java.lang", "ValueError: Task failed"),
    ],
)
def test_a_foreign_error_is_its_first_paragraph_and_a_hint(message: str, shown: str, capsys: Capture) -> None:
    run_command(raising(ValueError(message)))
    assert capsys.readouterr().err == f"prox-spark: {shown} (--debug shows where)\n"


def test_with_debug_the_stack_trace_is_shown(capsys: Capture) -> None:
    run_command(raising(LakeError("no table")), debug=True)
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err and err.endswith("prox-spark: no table\n")


def test_an_interrupted_run_says_that_it_goes_on(capsys: Capture) -> None:
    run_command(raising(KeyboardInterrupt()))
    assert "start it again and it goes on where it stopped" in capsys.readouterr().err
