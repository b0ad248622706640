"""Commands whose output nobody reads any more, as in `prox-spark config | head -1`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from prox_spark.commands.closed_pipes import CLOSED_PIPE_STATUS, stop_at_closed_pipe
from prox_spark.commands.run_command import run_command

pytestmark = pytest.mark.unit


def run_without_reader(*arguments: str, streams: tuple[str, ...] = ("stdout",)) -> tuple[int, str]:
    """Run a command with streams into a pipe that is closed at its other end. Return the exit status and stderr."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | dict.fromkeys(streams, write_end)
    done = subprocess.run([sys.executable, "-m", "prox_spark.cli", *arguments], **pipes, text=True, check=False)
    os.close(write_end)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["config"], ["refiners", "list"], ["corpora"]],
    ids=" ".join,
)
def test_a_command_without_a_reader_ends_quietly_as_after_sigpipe(arguments: list[str]) -> None:
    assert run_without_reader(*arguments) == (141, "")


def test_help_without_a_reader_ends_quietly() -> None:
    # argparse itself passes over the error where its text is longer than a buffer.
    status, message = run_without_reader("config", "--help")
    assert status in (0, 141) and message == ""


def test_head_gets_its_lines_and_the_terminal_no_traceback() -> None:
    line = f"set -o pipefail; {sys.executable} -m prox_spark.cli config | head -n 2"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == 2 and done.stderr == ""
    # The reference is longer than a pipe's buffer or not, and `head` quicker or not.
    assert done.returncode in (0, 141)


def test_a_message_that_nobody_reads_is_no_traceback() -> None:
    assert run_without_reader("refiners", "build", "nobody", streams=("stdout", "stderr")) == (141, "")


def test_output_is_not_needed_where_there_is_none() -> None:
    line = f"{sys.executable} -m prox_spark.cli config >&-"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_pipe_that_breaks_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    def lose_a_socket() -> int:
        raise BrokenPipeError(32, "Broken pipe")

    assert run_command(lose_a_socket) == 1
    assert "BrokenPipeError" in capsys.readouterr().err


def test_the_status_of_a_command_that_is_read_is_its_own() -> None:
    assert stop_at_closed_pipe(lambda: 3) == 3


def test_the_exit_of_a_parser_is_its_own() -> None:
    def leave() -> int:
        raise SystemExit(2)

    with pytest.raises(SystemExit) as stopped:
        stop_at_closed_pipe(leave)
    assert stopped.value.code == 2


def test_the_status_is_that_of_a_process_that_sigpipe_ends() -> None:
    assert CLOSED_PIPE_STATUS == 141
