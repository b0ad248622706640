from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.errors import AnalysisException
from pyspark.logger import PySparkLogger

from prox_spark import __version__, cli
from prox_spark.commands import demo
from prox_spark.commands.run_command import run_command
from prox_spark.config import Recipe
from prox_spark.errors import ConservationError, EngineStartError, LakeError, RecipeError, RefinerError
from prox_spark.refiners import list_refiners

pytestmark = pytest.mark.unit

Capture = pytest.CaptureFixture[str]


def fail_with(error: BaseException) -> Callable[[], int]:
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


def test_a_package_that_python_lacks_is_named() -> None:
    # None in sys.modules is Python's way to say that there is no such module.
    code = "import sys; sys.modules['pyspark'] = None; from prox_spark import cli; sys.exit(cli.main(['refine', '--lake', 'x']))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")
    assert f"this Python ({sys.executable}) has no package pyspark. Install" in found.stderr
    assert "Traceback" not in found.stderr


def test_the_version_is_that_of_the_package(capsys: Capture) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"prox-spark {__version__}\n"


def test_without_arguments_those_of_the_process_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["prox-spark", "--version"])
    assert cli.main() == 0


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_command_is_a_module_that_is_there(name: str) -> None:
    assert importlib.util.find_spec(f"prox_spark.commands.{name}") is not None


@pytest.mark.parametrize("name", ["config", "refiners"])
def test_an_unknown_option_is_a_usage_error(name: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([name, "--bogus"])
    assert stopped.value.code == 2 and f"usage: prox-spark {name}" in capsys.readouterr().err


def test_induce_needs_to_be_told_where_to_write(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["induce", "pairs.jsonl"])
    assert stopped.value.code == 2 and "--output" in capsys.readouterr().err


def test_induce_says_before_spark_starts_that_there_is_no_input(tmp_path: Path, capsys: Capture) -> None:
    missing, output = str(tmp_path / "none.jsonl"), str(tmp_path / "out")
    assert cli.main(["induce", missing, "--output", output]) == 2
    assert "none.jsonl" in capsys.readouterr().err


def test_lake_and_catalog_together_are_a_usage_error(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["config", "--show", "--lake", "a", "--catalog", "b.c"])
    assert stopped.value.code == 2 and "not allowed with argument" in capsys.readouterr().err


def test_config_prints_the_reference(capsys: Capture) -> None:
    assert cli.main(["config"]) == 0
    assert capsys.readouterr().out == Recipe.reference() + "\n"


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
    assert [row[0] for row in rows] == list_refiners()
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
    assert run_command(fail_with(error)) == status


def test_an_error_of_ours_is_its_message_alone(capsys: Capture) -> None:
    run_command(fail_with(LakeError("no table documents: run `prox-spark ingest`")))
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
    run_command(fail_with(ValueError(message)))
    assert capsys.readouterr().err == f"prox-spark: {shown} (--debug shows where)\n"


def test_progress_goes_to_stderr_and_results_to_stdout(capsys: Capture) -> None:
    def command() -> int:
        logging.getLogger("prox_spark.pipeline.refine").info("plan: 3 documents")
        logging.getLogger("py4j").info("noise")
        print("result")
        return 0

    assert run_command(command) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("result\n", "  plan: 3 documents\n")


def test_logging_is_after_a_command_as_it_was_before() -> None:
    logger = logging.getLogger("prox_spark")
    before = (logger.level, logger.propagate, list(logger.handlers))
    run_command(fail_with(LakeError("x")))
    assert (logger.level, logger.propagate, list(logger.handlers)) == before


START_ERROR = """vLLM was not ready after 300 s: it ended with status 1.

  ValueError: no available memory for the cache blocks

Lower engine.gpu_memory_fraction (now 0.9). Log: /tmp/prox/engine.log"""
WORKER_TRACEBACK = f"""Traceback (most recent call last):
  File "/opt/env/lib/python3.11/site-packages/udfs/generate.py", line 101, in __call__
    engine = Executor.get(self.spec)
             ^^^^^^^^^^^^^^^^^^^^^^^
prox_spark.errors.EngineStartError: {START_ERROR}
"""
JVM_FRAMES = """
\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:645)
\tat java.base/java.lang.Thread.run(Thread.java:840)
"""
PYTHON_EXCEPTION = f"""
  An exception was thrown from the Python worker. Please see the stack trace below.
{WORKER_TRACEBACK}"""
WITH_JVM_STACKTRACE = f"""{PYTHON_EXCEPTION}

JVM stacktrace:
org.apache.spark.SparkException: Job aborted due to stage failure{JVM_FRAMES}"""
PY4J_ERROR = f"""An error occurred while calling o61.getResult.
: org.apache.spark.SparkException: Exception thrown in awaitResult:{JVM_FRAMES}\
Caused by: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times, \
most recent failure: Lost task 0.0 in stage 1.0 (TID 1) (10.0.0.7 executor 3): \
org.apache.spark.api.python.PythonException: {WORKER_TRACEBACK}{JVM_FRAMES}
Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.$anonfun$abortStage$3(DAGScheduler.scala:3122)
Caused by: org.apache.spark.api.python.PythonException: {WORKER_TRACEBACK}{JVM_FRAMES}"""
CHAINED = f"""Traceback (most recent call last):
  File "udfs/generate.py", line 90, in __call__
prox_spark.errors.EngineError: the engine is gone

During handling of the above exception, another exception occurred:

{WORKER_TRACEBACK}"""


@pytest.mark.parametrize(
    "text",
    [PYTHON_EXCEPTION, WITH_JVM_STACKTRACE, PY4J_ERROR, CHAINED],
    ids=["python", "jvm", "py4j", "chained"],
)
def test_an_error_of_ours_in_a_spark_worker_is_its_message_alone(text: str, capsys: Capture) -> None:
    assert run_command(fail_with(RuntimeError(text))) == 1
    assert capsys.readouterr().err == f"prox-spark: {START_ERROR}\n"


def test_a_foreign_error_in_a_spark_worker_is_no_error_of_ours(capsys: Capture) -> None:
    text = PYTHON_EXCEPTION.replace("prox_spark.errors.EngineStartError", "builtins.ValueError")
    assert run_command(fail_with(RuntimeError(text))) == 1
    assert capsys.readouterr().err.startswith("prox-spark: RuntimeError: An exception was thrown from the Python")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or function parameter with name `nope` cannot be "
            "resolved. Did you mean one of the following? [`id`]. SQLSTATE: 42703; line 1 pos 7;\n'Project ['nope]\n"
            "+- Range (0, 3, step=1)\n",
            "[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or function parameter with name `nope` cannot be "
            "resolved. Did you mean one of the following? [`id`]. SQLSTATE: 42703; line 1 pos 7",
        ),
        (
            "\n[PARSE_SYNTAX_ERROR] Syntax error at or near 'selct'. SQLSTATE: 42601 (line 1, pos 0)\n\n== SQL ==\n"
            "selct nope frm x\n^^^\n",
            "[PARSE_SYNTAX_ERROR] Syntax error at or near 'selct'. SQLSTATE: 42601 (line 1, pos 0)",
        ),
    ],
    ids=["analysis", "parse"],
)
def test_an_sql_error_is_its_first_line_without_the_plan(text: str, shown: str, capsys: Capture) -> None:
    run_command(fail_with(AnalysisException(text)))
    assert capsys.readouterr().err == f"prox-spark: AnalysisException: {shown} (--debug shows where)\n"


@pytest.mark.parametrize("name", ["DataFrameQueryContextLogger", "SQLQueryContextLogger"])
def test_pyspark_does_not_print_errors_by_itself(name: str, capsys: Capture) -> None:
    run_command(lambda: 0)
    PySparkLogger.getLogger(name).error("an error and its plan", errorClass="X")
    assert capsys.readouterr().err == ""


def test_each_input_of_the_demo_has_a_lake_of_its_own(tmp_path: Path) -> None:
    first, second = (str(tmp_path / folder / "Data.jsonl") for folder in "ab")
    assert demo._name_folder(first).startswith("data-jsonl-") and demo._name_folder(first) != demo._name_folder(second)
    assert demo._name_folder(f"{first}/") == demo._name_folder(first)
    assert demo._name_folder("s3a://a/data.jsonl") != demo._name_folder("s3a://b/data.jsonl")


def test_demo_brings_a_sample_and_a_lake_where_the_recipe_names_none() -> None:
    def place(**sections: dict[str, Any]) -> tuple[list[str], str | None]:
        made = demo.fill_in_defaults(Recipe.parse(sections))
        return made.input.paths, made.lake.root

    sample = [str(demo.PAGES)]
    assert place() == (sample, "lake/demo")
    assert place(lake={"root": "/x"}) == (sample, "/x")
    assert place(lake={"catalog": "a.b"}) == (sample, None)
    assert place(input={"paths": ["/a.jsonl"]}, lake={"root": "/x"}) == (["/a.jsonl"], "/x")
    paths, root = place(input={"paths": ["/a.jsonl"]})
    assert paths == ["/a.jsonl"] and str(root).startswith("lake/a-jsonl-")


def test_with_debug_the_stack_trace_is_shown(capsys: Capture) -> None:
    run_command(fail_with(LakeError("no table")), debug=True)
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err and err.endswith("prox-spark: no table\n")


def test_an_interrupted_run_says_that_it_goes_on(capsys: Capture) -> None:
    run_command(fail_with(KeyboardInterrupt()))
    assert "start it again and it goes on where it stopped" in capsys.readouterr().err


def test_a_task_of_a_scheduler_returns_nothing_when_it_is_done(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (["config"], ["--version"], ["sql", "--help"]):
        monkeypatch.setattr("sys.argv", ["task", *words])
        assert cli.run_task() is None
    assert "prox-spark 0" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["sql"], ["apply", "--set", "x=1"], ["nonsense"], []])
def test_a_task_of_a_scheduler_raises_when_it_fails(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["task", *words])
    with pytest.raises(cli.TaskError, match=f"prox-spark {words[0] if words else ''}.*exit status 2"):
        cli.run_task()
