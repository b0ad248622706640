from __future__ import annotations

import socketserver
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_server import FakeEngineServer

from prox_spark.engine.wire.health import is_healthy, request

pytestmark = pytest.mark.unit


@pytest.fixture
def engine() -> Iterator[FakeEngineServer]:
    with FakeEngineServer() as server:
        yield server


@pytest.fixture
def deaf_socket() -> Iterator[str]:
    """A socket whose server takes connections and never answers."""
    done = threading.Event()

    class Deaf(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            done.wait(10)

    with tempfile.TemporaryDirectory() as folder:
        server = socketserver.ThreadingUnixStreamServer(f"{folder}/s", Deaf)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"{folder}/s"
        done.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def babbling_socket() -> Iterator[str]:
    """A socket whose server does not speak HTTP."""

    class Babbler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"hello\r\n\r\n")

    with tempfile.TemporaryDirectory() as folder:
        server = socketserver.ThreadingUnixStreamServer(f"{folder}/s", Babbler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"{folder}/s"
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_good_answer_is_its_body(engine: FakeEngineServer) -> None:
    assert request(engine.engine().socket, "/health") == ""


def test_a_path_that_is_not_there_is_no_answer(engine: FakeEngineServer) -> None:
    assert request(engine.engine().socket, "/nowhere") is None


def test_an_engine_that_answers_its_health_check_is_healthy(engine: FakeEngineServer) -> None:
    assert is_healthy(engine.engine().socket)


def test_an_engine_that_says_that_it_is_ill_is_not_healthy(engine: FakeEngineServer) -> None:
    engine.is_well = False
    assert not is_healthy(engine.engine().socket)


def test_a_socket_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    assert request(str(tmp_path / "s"), "/health") is None


def test_a_file_that_is_no_socket_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "s").touch()
    assert request(str(tmp_path / "s"), "/health") is None


def test_a_path_too_long_for_a_socket_is_no_answer() -> None:
    assert request("/tmp/" + "x" * 200, "/health") is None


def test_an_engine_that_hangs_is_no_answer_after_the_deadline(deaf_socket: str) -> None:
    assert request(deaf_socket, "/health", seconds=0.1) is None


def test_a_server_that_speaks_no_http_is_no_answer(babbling_socket: str) -> None:
    assert request(babbling_socket, "/health") is None


def test_an_engine_whose_supervisor_runs_and_whose_server_answers_is_alive(engine: FakeEngineServer) -> None:
    assert engine.engine().is_alive()


def test_an_engine_whose_supervisor_is_another_process_by_now_is_not_alive(engine: FakeEngineServer) -> None:
    assert not engine.engine(started=1.0).is_alive()


def test_the_last_lines_of_a_log_are_few_and_short(engine: FakeEngineServer) -> None:
    log = "\n".join(f"line {number} " + "x" * 1000 for number in range(100))
    (engine.folder / "engine.log").write_text(log, encoding="utf-8")
    lines = engine.engine().read_last_lines().splitlines()
    assert len(lines) == 15 and lines[-1].startswith("line 99 ") and len(lines[-1]) == 400


def test_a_log_that_is_not_there_is_said_to_be_missing(engine: FakeEngineServer) -> None:
    assert engine.engine().read_last_lines() == "(no log: No such file or directory)"
