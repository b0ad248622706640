"""Ends of engines, and access to them. The server is a FAKE."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from engine_processes import ME, find_processes_in, read_words
from waiting import wait_until

from prox_spark.engine.ask.resident_session import ResidentSession
from prox_spark.engine.ask.window import RequestWindow
from prox_spark.engine.host.executor import Owner, find_owner, locate_owner_directory, make_engine_directory
from prox_spark.engine.life.reaper import remove_leftovers
from prox_spark.engine.life.record import Engine, EngineRecord, read_records
from prox_spark.engine.life.resident import connect, find_running_engines, forgive
from prox_spark.engine.slots.sharing import Share
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.wire.health import read_metrics

pytestmark = pytest.mark.faults
Make = Callable[..., EngineSpec]

# Tries to connect to a socket as another user, and prints the result.
TALK = """
import os, socket, sys
os.setuid(65534)
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
    print("connected")
except OSError as error:
    print(type(error).__name__)
"""


def ask(spec: EngineSpec, answered: list[str | None]) -> None:
    """Ask one prompt and add the id of the engine that answered."""
    session = ResidentSession(lambda: connect(spec), {"max_tokens": 1}, 60, lambda n: forgive(spec, n), 1)
    window: RequestWindow[int] = RequestWindow(
        session, Share(make_engine_directory(find_owner(), spec.key) / "slots", size=1)
    )
    answered.extend(answer.engine_id for _, answer in window.ask_all([(0, [1, 2, 3])]))


def family(engine: Engine) -> list[psutil.Process]:
    """Return the server and its children."""
    return psutil.Process(engine.pid).children(recursive=True)


def is_over(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_killed_supervisor_leaves_no_process(make_spec: Make, runtime: Path) -> None:
    engine = connect(make_spec({"children": 2}))
    assert len(family(engine)) == 3 and len(find_processes_in(runtime)) == 5  # with the supervisor and its guard
    os.kill(engine.pid, signal.SIGKILL)
    wait_until(lambda: not find_processes_in(runtime), "no process is left")


def test_what_a_supervisor_and_its_guard_left_ends_before_the_next_engine_starts(
    make_spec: Make, runtime: Path
) -> None:
    spec = make_spec({"children": 2})
    orphans = kill_with_its_guard(connect(spec), runtime)
    bystander = subprocess.Popen(["sleep", "60"], cwd=next(iter(read_records(locate_owner_directory(ME)))))
    try:
        second = connect(spec)
        assert all(map(is_over, orphans)) and bystander.poll() is None
        assert second.starts == 2 and EngineRecord.load(Path(second.socket).parent).deaths == 1
    finally:
        bystander.kill()
        bystander.wait()


def test_what_an_executor_left_that_is_gone_ends_at_the_next_start_on_the_host(
    make_spec: Make, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = subprocess.Popen(["sleep", "60"])
    owner = Owner.of(psutil.Process(executor.pid))
    monkeypatch.setattr("prox_spark.engine.life.resident.find_owner", lambda: owner)
    orphans = kill_with_its_guard(connect(make_spec({"children": 2})), runtime)
    executor.kill()
    executor.wait()
    remove_leftovers()
    assert all(map(is_over, orphans)) and not locate_owner_directory(owner).exists()


def kill_with_its_guard(engine: Engine, runtime: Path) -> list[psutil.Process]:
    """Kill supervisor and guard, and return the processes that live on."""
    started = family(engine)[1:]
    (guard,) = [p for p in find_processes_in(runtime) if "prox_spark.engine.life.guard" in read_words(p)]
    both = [guard, psutil.Process(engine.pid)]
    for process in both:
        process.kill()
    wait_until(lambda: all(map(is_over, both)), "supervisor and guard are gone")
    assert len(started) == 2 and not any(map(is_over, started))
    return started


def test_engine_that_nobody_asks_ends_and_is_started_again_and_did_not_die(make_spec: Make, runtime: Path) -> None:
    spec = make_spec({"start_seconds": 2.5}, idle_seconds=1)  # an engine that starts is not idle
    first = connect(spec)
    wait_until(lambda: not find_processes_in(runtime), "the idle engine has ended")
    record = EngineRecord.load(Path(first.socket).parent)
    assert (record.engine, record.starts, record.deaths) == (None, 1, 0)
    second = connect(spec)
    assert second.starts == 2 and EngineRecord.load(Path(second.socket).parent).deaths == 0


def test_engine_with_a_long_request_is_not_idle(make_spec: Make) -> None:
    spec = make_spec({"latency": 4}, idle_seconds=1)
    answered: list[str | None] = []
    engine = connect(spec)
    ask(spec, answered)
    assert answered == [engine.engine_id]


def test_two_refiners_side_by_side_have_an_engine_each(make_spec: Make) -> None:
    doc, chunk = make_spec(name="doc"), make_spec(name="chunk")
    engines = [connect(doc), connect(chunk)]
    assert sorted(e.engine_id for e in find_running_engines(ME)) == sorted(e.engine_id for e in engines)
    answered: list[str | None] = []
    for spec in (doc, chunk, doc):
        ask(spec, answered)
    assert answered == [engines[0].engine_id, engines[1].engine_id, engines[0].engine_id]


def test_one_engine_after_the_other_is_no_death(make_spec: Make) -> None:
    doc, chunk = (make_spec(name=name, side_by_side=False, max_restarts=0) for name in ("doc", "chunk"))
    for n in range(1, 3):
        for spec in (doc, chunk):
            engine = connect(spec)
            assert find_running_engines(ME) == [engine] and engine.starts == n
            assert connect(spec) == engine
    assert [record.deaths for record in read_records(locate_owner_directory(ME)).values()] == [0, 0]


def test_engines_on_other_gpus_are_not_in_turn(make_spec: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = {"device": "cuda", "compile": False, "side_by_side": False}
    engines = []
    for name, gpu in (("doc", "0"), ("chunk", "1"), ("chunk", "0")):
        monkeypatch.setattr("prox_spark.engine.spec.read_assigned_gpus", lambda gpu=gpu: [gpu])
        engines.append(connect(make_spec(name=name, **alone)))
    assert {engine.engine_id for engine in find_running_engines(ME)} == {engine.engine_id for engine in engines[1:]}


def test_other_engine_ends_when_it_has_answered(make_spec: Make) -> None:
    doc = make_spec({"latency": 2}, name="doc", side_by_side=False)
    first = connect(doc)
    answered: list[str | None] = []
    slow_task = threading.Thread(target=ask, args=(doc, answered))
    slow_task.start()
    wait_until(lambda: bool((busy := read_metrics(first.socket)) and busy.in_flight), "the request is open")
    second = connect(make_spec(name="chunk", side_by_side=False))
    slow_task.join()
    assert answered == [first.engine_id] and find_running_engines(ME) == [second]


def test_other_engine_that_does_not_answer_ends_when_its_requests_are_out_of_time(make_spec: Make) -> None:
    first = connect(make_spec({"latency": 60}, name="doc", side_by_side=False))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(first.socket)
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 15\r\n\r\n" + b'{"prompt": [1]}')
        wait_until(lambda: bool((busy := read_metrics(first.socket)) and busy.in_flight), "the request is open")
        begun = time.monotonic()
        second = connect(make_spec(name="chunk", side_by_side=False, request_seconds=1))
        assert 1 <= time.monotonic() - begun < 20 and find_running_engines(ME) == [second]


@pytest.fixture
def open_runtime(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory that every user may enter. pytest's own folders are closed to other users."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("PROX_SPARK_RUNTIME", folder)
        yield Path(folder)
        for found in find_running_engines(ME):
            os.kill(found.pid, signal.SIGTERM)
        wait_until(lambda: not find_processes_in(Path(folder)), "no process is left")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_can_not_talk_to_the_engine(make_spec: Make, open_runtime: Path) -> None:
    engine = connect(make_spec())
    assert talk(engine) == "PermissionError"
    # The directories keep others out: with open directories every user can connect.
    path = Path(engine.socket)
    path.chmod(0o777)
    assert talk(engine) == "PermissionError"
    for directory in (path.parent, path.parent.parent, path.parent.parent.parent):
        directory.chmod(0o755)
    assert talk(engine) == "connected"


def talk(engine: Engine) -> str:
    command = [sys.executable, "-c", TALK, engine.socket]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
