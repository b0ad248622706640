"""Engines that do not start: the error names cause and remedy, and nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from engine_processes import ME, find_processes_in, read_words
from waiting import wait_until
from weightless import write_weightless

from prox_spark.engine.host.executor import locate_owner_directory
from prox_spark.engine.life.resident import connect
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import EngineStartError

pytestmark = pytest.mark.faults
Make = Callable[..., EngineSpec]
NOBODY = 65_534
# The supervisor has eight seconds to end its engine before both are killed. Here it takes one or two.
END_SECONDS = 10

# Connects as another user and prints the error.
CONNECT = f"""
import os, sys
from prox_spark.config import EngineConfig
from prox_spark.engine.life.resident import connect
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import EngineStartError
from prox_spark.refiners import find
spec = EngineSpec(find(sys.argv[1]), EngineConfig(device="cpu"))
os.setuid({NOBODY})
try:
    connect(spec)
except EngineStartError as error:
    print(error)
"""

only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter. pytest's own folders are closed to other users."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    ("fake", "config", "message"),
    [
        ({"start": "hang"}, {"start_seconds": 2}, r"not ready after engine\.start_seconds = 2 s: Raise it"),
        ({"start_seconds": 600}, {"start_seconds": 2}, r"not ready after engine\.start_seconds = 2 s: Raise it"),
        ({"start": "die"}, {}, r"died while starting: ValueError: fake engine was told to die at once"),
        ({"start": "memory"}, {}, r"out of GPU memory\. Lower engine\.gpu_memory_fraction \(now 0\.9\)"),
    ],
    ids=["hangs", "takes too long", "dies", "out of memory"],
)
def test_failed_start_is_named_and_no_process_is_left(
    make_spec: Make, runtime: Path, fake: dict[str, Any], config: dict[str, Any], message: str
) -> None:
    spec = make_spec(fake, **config)
    begun = time.monotonic()
    with pytest.raises(EngineStartError, match=rf"the engine of refiner tiny .*{message}") as failure:
        connect(spec)
    # The start's deadline, or the time to start and die, plus at most the time to end the engine.
    assert time.monotonic() - begun < config.get("start_seconds", 10) + END_SECONDS
    assert "fake engine, {" in str(failure.value), "its last words are missing"
    wait_until(lambda: not find_processes_in(runtime), "no process is left")
    assert os.listdir(locate_owner_directory(ME).parent) == [locate_owner_directory(ME).name]


def test_what_keeps_the_supervisor_from_starting_is_named(
    make_spec: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, path = make_spec(), tmp_path / "path"
    path.mkdir()
    (path / "psutil.py").write_text("raise ImportError('a broken psutil')")
    monkeypatch.syspath_prepend(str(path))
    with pytest.raises(EngineStartError, match=r"(?s)died while starting.*a broken psutil"):
        connect(spec)


def test_started_engine_that_the_window_can_not_fill_is_warned_of(
    make_spec: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connect(make_spec(max_num_seqs=8, extra_args=["--max-num-seqs", "32"]))
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "set engine.max_num_seqs to 32" in record.getMessage()


def test_server_that_the_kernel_kills_while_it_starts_is_told_from_one_that_failed(
    make_spec: Make, runtime: Path
) -> None:
    def kill_server() -> None:
        wait_until(lambda: bool(servers()), "there is a server")
        servers()[0].send_signal(signal.SIGKILL)

    def servers() -> list[psutil.Process]:
        words = {process: read_words(process) for process in find_processes_in(runtime)}
        return [process for process, line in words.items() if "--uds" in line and "supervisor" not in " ".join(line)]

    killer = threading.Thread(target=kill_server)
    killer.start()
    with pytest.raises(EngineStartError, match=r"killed \(signal 9\).*Lower engine\.cpu_kv_cache_gib \(now 1\)"):
        connect(make_spec({"start": "hang"}))
    killer.join()


def test_path_that_is_too_long_for_a_socket_is_named(
    make_spec: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(tmp_path / ("long" * 25)))
    with pytest.raises(EngineStartError, match=r"too long for a Unix socket: set PROX_SPARK_RUNTIME"):
        connect(make_spec())
    assert not (tmp_path / ("long" * 25)).exists()


def test_file_system_without_sockets_is_named(make_spec: Make, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeSocket(socket.socket):
        """A socket on a file system without sockets."""

        def bind(self, _: Any) -> None:
            raise OSError(95, "Operation not supported")

    monkeypatch.setattr("socket.socket", FakeSocket)
    with pytest.raises(EngineStartError, match=r"no Unix socket .*Operation not supported\. Set PROX_SPARK_RUNTIME"):
        connect(make_spec())
    assert not find_processes_in(runtime)


@only_root
@pytest.mark.parametrize(
    ("owner", "mode", "message"),
    [
        (0, 0o755, r"can't make the engine's directory .*Permission denied\. Set PROX_SPARK_RUNTIME"),
        (NOBODY, 0o555, r"can't make the engine's directory .*Permission denied\. Set PROX_SPARK_RUNTIME"),
    ],
    ids=["not ours", "read only"],
)
def test_directory_that_can_not_be_written_is_named(open_folder: Path, owner: int, mode: int, message: str) -> None:
    os.chown(open_folder, owner, owner)
    open_folder.chmod(mode)
    assert re.search(message, error_of_nobody(open_folder))
    assert os.listdir(open_folder) == ["tiny"]


@only_root
def test_directory_that_somebody_else_made_first_is_named(open_folder: Path) -> None:
    theirs = open_folder / f"prox-spark-{NOBODY}"
    theirs.mkdir()
    theirs.chmod(0o777)
    assert f"{theirs} belongs to another user: set PROX_SPARK_RUNTIME" in error_of_nobody(open_folder)


def error_of_nobody(runtime: Path) -> str:
    """Return the error of another user who connects with this runtime directory."""
    refiner = write_weightless(runtime / "tiny")
    environment = os.environ | {"PROX_SPARK_RUNTIME": str(runtime), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CONNECT, refiner]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
