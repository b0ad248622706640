"""Starting, waiting for and ending engines, on a fake server that only answers health checks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from engine_processes import read_words
from waiting import wait_until
from weightless import write_weightless

from prox_spark.config import EngineConfig
from prox_spark.engine.host.executor import Owner, locate_owner_directory, make_engine_directory
from prox_spark.engine.life import resident
from prox_spark.engine.life.record import EngineRecord
from prox_spark.engine.life.resident import connect, find_running_engines, forgive
from prox_spark.engine.life.start import _find_or_build_model, build_engine_environment
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import EngineStartError
from prox_spark.refiners import find

pytestmark = pytest.mark.unit

FAKE_SERVER = """
import os, signal, socketserver, sys, time
from http.server import BaseHTTPRequestHandler
socket, delay, answers = sys.argv[1], float(sys.argv[2]), sys.argv[3]
if answers == "dies":
    sys.exit("RuntimeError: no such device")
if answers == "refuses":
    sys.exit("ValueError: no such setting")
class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        hung = os.path.exists(socket + ".hang")
        self.send_response(503 if hung else 200); self.end_headers()
    def address_string(self): return ""
    def log_message(self, *_): pass
time.sleep(delay)
socketserver.ThreadingUnixStreamServer(socket, Health).serve_forever()
"""


@dataclass(frozen=True)
class FakeEngineSpec(EngineSpec):
    """An engine that is a few lines of Python: ready after `delay` seconds, or dead at once."""

    delay: float = 0.0
    answers: str = "ok"

    def build_command(self, model: Path, socket: Path) -> list[str]:
        return [sys.executable, "-c", FAKE_SERVER, str(socket), str(self.delay), self.answers]


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(tmp_path / "r"))
    monkeypatch.setattr(resident, "_BACK_OFF_SECONDS", 0.01)
    yield tmp_path / "r"
    for supervisor in supervisors():
        os.kill(supervisor.pid, signal.SIGTERM)
        supervisor.wait(10)


@pytest.fixture
def fake(tmp_path: Path, runtime: Path) -> Any:
    """Make fake specs around a refiner of a few bytes."""
    refiner = find(write_weightless(tmp_path))

    def make(delay: float = 0.0, answers: str = "ok", **config: Any) -> FakeEngineSpec:
        return FakeEngineSpec(refiner, EngineConfig(device="cpu", **config), delay, answers)

    return make


def supervisors() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "supervisor" in " ".join(read_words(p))]


def record_of(spec: EngineSpec) -> EngineRecord:
    return EngineRecord.load(make_engine_directory(Owner.of(psutil.Process()), spec.key))


def kill(engine: Any) -> None:
    os.kill(engine.pid, signal.SIGKILL)
    wait_until(lambda: not engine.supervisor.is_alive(), "the supervisor is dead")


def test_many_workers_that_come_at_once_share_one_engine(fake: Any) -> None:
    spec, found = fake(delay=0.5), []
    threads = [threading.Thread(target=lambda: found.append(connect(spec))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1 and len(supervisors()) == 1


def test_sockets_of_vllm_lie_where_their_names_fit(
    fake: Any, tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    assert build_engine_environment(fake(), short_path)["VLLM_RPC_BASE_PATH"] == str(short_path)
    deep = tmp_path / ("d" * 90)
    assert build_engine_environment(fake(), deep)["VLLM_RPC_BASE_PATH"] == "/tmp"
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    assert build_engine_environment(fake(), deep)["VLLM_RPC_BASE_PATH"] == "/tmp"


def test_an_engine_with_its_own_python_starts_without_the_workers_packages(
    fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROX_SPARK_ENGINE_PYTHON", sys.executable)
    engine = connect(fake())
    path = psutil.Process(engine.pid).environ()["PYTHONPATH"]
    assert path == str(Path(engine.log).parent / "package")


def test_a_limit_on_address_space_is_named(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (2**29, 2**29))
    with pytest.raises(EngineStartError, match=r"0\.5 GiB .* spark\.executor\.pyspark\.memory") as failure:
        connect(fake())
    assert failure.value.is_final


def test_a_model_is_served_from_where_it_was_built(fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "cache of this host"
    asked: list[list[str]] = []

    def build(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, f"some library's words\n{there}\n", "")

    monkeypatch.setattr("prox_spark.engine.life.start.is_built", lambda _: False)
    monkeypatch.setattr(subprocess, "run", build)
    spec = fake()
    assert _find_or_build_model(spec, {}) == there
    assert asked[0][-3:] == ["--expect", spec.refiner.model_fingerprint, spec.refiner.reference]


def test_engine_that_starts_is_waited_for_when_its_starter_is_gone(fake: Any, runtime: Path) -> None:
    spec = fake(delay=1.5)
    starter = threading.Thread(target=lambda: connect(spec))
    starter.start()
    directory = make_engine_directory(Owner.of(psutil.Process()), spec.key)
    wait_until((directory / "engine.json").exists, "the engine is recorded")
    # The state that a killed worker leaves: recorded, alive, not ready, the lock free.
    (directory / "lock").unlink()
    first = EngineRecord.load(directory).engine
    assert connect(spec) == first and len(supervisors()) == 1
    starter.join()


def test_dead_engine_is_replaced_and_counted(fake: Any) -> None:
    spec = fake()
    first = connect(spec)
    kill(first)
    second = connect(spec)
    assert second.starts == 2 and second.engine_id != first.engine_id
    record = record_of(spec)
    assert (record.engine, record.starts, record.deaths) == (second, 2, 1)


def test_engine_that_hangs_is_ended_before_another_is_started(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prox_spark.engine.life.start._BUSY_SECONDS", 0.5)
    spec = fake(start_seconds=2.0)
    first = connect(spec)
    Path(first.socket + ".hang").touch()
    monkeypatch.setattr(Owner, "age_seconds", lambda _: 1000.0)
    with pytest.raises(EngineStartError):
        connect(spec)  # the replacement hangs as well, because it finds the same mark
    assert not Owner(first.pid, first.started).is_alive() and supervisors() == []


def test_engine_that_dies_again_and_again_is_given_up(fake: Any) -> None:
    spec = fake(answers="dies", max_restarts=1)
    for _ in range(2):
        with pytest.raises(EngineStartError, match="died while starting"):
            connect(spec)
    with pytest.raises(
        EngineStartError, match=r"died 2 times .* engine\.max_restarts is 1\. .*: RuntimeError: no such device\."
    ):
        connect(spec)
    assert supervisors() == []


def test_slots_that_wait_for_a_start_that_fails_are_told_why_and_do_not_try_again(fake: Any) -> None:
    spec, told = fake(answers="dies"), []
    all_here = threading.Barrier(6)

    def slot() -> None:
        all_here.wait(10)
        with pytest.raises(EngineStartError) as failure:
            connect(spec)
        told.append(str(failure.value))

    threads = [threading.Thread(target=slot) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 6 and len(set(told)) == 1 and "RuntimeError: no such device" in told[0]
    assert (record_of(spec).starts, record_of(spec).deaths) == (1, 1)


def test_a_start_that_is_sure_to_fail_is_tried_once_by_a_run_and_anew_by_the_next(fake: Any) -> None:
    spec = fake(answers="refuses", max_restarts=0)
    told = []
    for run in ("first", "first", "second", "second"):
        with pytest.raises(EngineStartError, match="died while starting: ValueError: no such setting") as failure:
            connect(spec, run)
        told.append((str(failure.value), record_of(spec).starts))
    assert [starts for _, starts in told] == [1, 1, 2, 2] and told[0] == told[1]


def test_a_run_that_gave_an_engine_up_does_not_keep_the_next_from_starting_it(fake: Any, runtime: Path) -> None:
    broken = fake(answers="dies", max_restarts=0)
    for message in ("died while starting", "died 1 times"):
        with pytest.raises(EngineStartError, match=message):
            connect(broken, "first")
    mended = connect(fake(), "second")
    assert mended.engine_id.endswith("-1"), "the first that the second run starts takes nobody's place"
    assert mended.starts == 2 and record_of(broken).count_deaths("second") == 0


def test_engines_that_die_count_for_each_run_that_asks_for_them(fake: Any) -> None:
    spec = fake(max_restarts=1)
    kill(connect(spec, "first"))
    kill(connect(spec, "first"))
    kill(connect(spec, "second"))
    with pytest.raises(EngineStartError, match="died 3 times"):
        connect(spec, "first")
    assert connect(spec, "second").starts == 4


def test_forgiven_deaths_do_not_count(fake: Any) -> None:
    spec = fake(max_restarts=1)
    for _ in range(3):
        kill(connect(spec))
        forgive(spec, 1)
    assert record_of(spec).deaths == 0 and connect(spec).starts == 4
    forgive(spec, 5)
    assert record_of(spec).deaths == 0 and find_running_engines(Owner.of(psutil.Process()))


def test_the_wait_before_a_restart_grows_and_is_bounded() -> None:
    waits = [resident._choose_back_off_seconds(deaths) for deaths in range(9)]
    assert waits[:5] == [0, 1, 2, 4, 8] and waits[-1] == 30


def test_directories_of_executors_that_are_gone_are_removed_at_a_start(fake: Any, runtime: Path) -> None:
    gone = locate_owner_directory(Owner(2**22 - 1, 1.0))
    (gone / "some-engine").mkdir(parents=True)
    (gone / "some-engine" / "engine.json").write_text('{"of": "another version"}')
    connect(fake())
    assert not gone.exists()
