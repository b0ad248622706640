"""Faults while task slots, each a process as Spark's Python workers are, feed one FAKE engine."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import wait_until
from weightless import write_weightless

from prox_spark.config import EngineConfig
from prox_spark.engine.host.executor import find_owner, make_engine_directory
from prox_spark.engine.life.record import Engine
from prox_spark.engine.life.resident import connect
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.wire.health import request
from prox_spark.refiners import find

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
POISON = 666
WINDOW = 16
# A task slot: the generate UDF over Arrow batches of the prompts on its command line. It prints each row as it comes.
SLOT = """
import json, sys
import pyarrow as pa
from prox_spark.config import EngineConfig
from prox_spark.engine.spec import EngineSpec
from prox_spark.refiners import find
from prox_spark.udfs import generate
refiner, config, prompts = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
schema = pa.schema([("generation_key", pa.string()), ("token_ids", pa.list_(pa.int32()))])
def batches():
    for first in range(0, len(prompts), 10):
        part = prompts[first:first + 10]
        yield pa.RecordBatch.from_pydict({"generation_key": [str(p[0]) for p in part], "token_ids": part}, schema=schema)
generate._ROWS_OUT = 1
spec = EngineSpec(find(refiner), EngineConfig(**config))
for batch in generate.Generate(spec, json.dumps({"max_tokens": 8}))(batches()):
    for row in batch.to_pylist():
        print(json.dumps(row, default=str), flush=True)
"""


# Put before SLOT, this makes the slot write a line to stderr whenever the isolation refuses it a lock.
TELL_REFUSALS = """
import sys
from prox_spark.engine.slots import isolation
try_lock = isolation.try_lock
def watch(file, how):
    is_locked = try_lock(file, how)
    if not is_locked:
        print("refused", file=sys.stderr, flush=True)
    return is_locked
isolation.try_lock = watch
"""


@dataclass(frozen=True)
class Executor:
    """This process in the role of the executor's JVM: its children are the task slots of one executor."""

    spec: EngineSpec

    def slot(self, prompts: list[list[int]], before: str = "") -> subprocess.Popen[str]:
        config = self.spec.config.model_dump_json()
        command = [sys.executable, "-c", before + SLOT, str(self.spec.refiner.reference), config, json.dumps(prompts)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "support" / "fake_engine"), str(ROOT)])
        }
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def rows(self, *slots: subprocess.Popen[str]) -> dict[int, dict[str, Any]]:
        """Wait for the slots to end and return the rows that they printed, by first token; each prompt once."""
        rows: dict[int, dict[str, Any]] = {}
        for slot in slots:
            output, errors = slot.communicate(timeout=120)
            assert slot.returncode == 0, errors[-3000:]
            for line in output.splitlines():
                row = json.loads(line)
                assert int(row["generation_key"]) not in rows
                rows[int(row["generation_key"])] = row
        return rows

    def server(self) -> psutil.Process:
        """Return the engine's own process."""
        return psutil.Process(connect(self.spec).pid).children()[0]

    def engine(self) -> Engine:
        return connect(self.spec)

    def count(self, metric: str) -> int:
        """Return one of the engine's own counters."""
        lines = (request(self.engine().socket, "/metrics") or "").splitlines()
        return next((int(float(line.split()[1])) for line in lines if metric in line), 0)

    def n_in_flight(self) -> int:
        return self.count("requests_in_flight")

    @property
    def directory(self) -> Path:
        return make_engine_directory(find_owner(), self.spec.key)


@pytest.fixture
def executor(tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Executor]]:
    """Make an executor whose fake engine behaves as told; at the end no process of its engine is left."""
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(short_path))
    monkeypatch.syspath_prepend(ROOT / "tests" / "support" / "fake_engine")
    monkeypatch.syspath_prepend(ROOT)
    refiner = find(write_weightless(tmp_path))
    made: list[Executor] = []

    def make(behaviour: dict[str, Any], **config: Any) -> Executor:
        monkeypatch.setenv("FAKE_ENGINE", json.dumps(behaviour))
        settings = {"device": "cpu", "max_num_seqs": WINDOW, "window_factor": 1.0, "request_seconds": 30, **config}
        made.append(Executor(EngineSpec(refiner, EngineConfig(**settings))))
        return made[-1]

    name = Path("/proc/self/comm").read_text().strip()
    _rename("java")
    try:
        yield make
    finally:
        for executor in made:
            if (executor.directory / "engine.json").exists():
                supervisor = psutil.Process(executor.engine().pid)
                supervisor.terminate()
                supervisor.wait(10)
        _rename(name)


def _rename(name: str) -> None:
    """Set the name of this process, because an executor is known by the name of its JVM."""
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)


def prompts(first: int, n: int) -> list[list[int]]:
    return [[number, 1, 2] for number in range(first, first + n)]


def assert_all_but(rows: dict[int, dict[str, Any]], crashing: set[int]) -> None:
    errors = {number: row["error_code"] for number, row in rows.items() if row["error_code"]}
    assert errors == dict.fromkeys(crashing, "engine_crash")
    assert all(row["output_text"] for number, row in rows.items() if number not in crashing)


@pytest.mark.parametrize("place", [0, 199])
def test_a_prompt_that_crashes_the_engine_is_an_error_and_199_others_are_answered(
    place: int, executor: Callable[..., Executor]
) -> None:
    fed = executor({"poison": POISON, "latency": 0.005})
    asked = prompts(1000, 199)
    asked.insert(place, [POISON, 1, 2])
    rows = fed.rows(fed.slot(asked))
    assert len(rows) == 200
    assert_all_but(rows, {POISON})
    message = rows[POISON]["error_message"]
    assert message.startswith("the engine died 3 times with this prompt in flight, at last with no other")
    assert "fake engine was given its poison" in message


def test_a_crashing_prompt_costs_neither_its_own_slot_nor_the_other_an_answer(
    executor: Callable[..., Executor],
) -> None:
    fed = executor({"poison": POISON, "latency": 0.02})
    slots = [fed.slot([*prompts(1000, 50), [POISON, 1, 2], *prompts(1050, 49)]), fed.slot(prompts(2000, 100))]
    rows = fed.rows(*slots)
    assert len(rows) == 200
    assert_all_but(rows, {POISON})


def test_two_crashing_prompts_in_one_window_are_both_found(executor: Callable[..., Executor]) -> None:
    fed = executor({"poison": POISON, "latency": 0.02})
    # The key is the first token. The poison may be anywhere in the prompt.
    asked = [*prompts(1000, 20), [1, POISON], *prompts(1020, 4), [2, POISON], *prompts(1024, 20)]
    rows = fed.rows(fed.slot(asked))
    assert len(rows) == 46
    assert_all_but(rows, {1, 2})


def test_too_many_crashing_prompts_are_an_error_of_the_engine(executor: Callable[..., Executor]) -> None:
    fed = executor({"poison": POISON}, max_crashing_prompts=1)
    slot = fed.slot([[1, POISON], [2, POISON], *prompts(1000, 20)])
    _, errors = slot.communicate(timeout=120)
    assert slot.returncode != 0
    assert "2 prompts of this run have crashed the engine" in errors and "engine.max_crashing_prompts is 1" in errors


def test_an_engine_that_is_killed_from_outside_costs_nobody_an_answer(executor: Callable[..., Executor]) -> None:
    fed = executor({"latency": 0.05})
    fed.engine()
    slots = [fed.slot(prompts(1000, 150)), fed.slot(prompts(2000, 150))]
    wait_until(lambda: fed.count("request_success_total") > 2 * WINDOW, "there are answers")
    fed.server().kill()
    rows = fed.rows(*slots)
    assert len(rows) == 300 and len({row["engine_id"] for row in rows.values()}) == 2
    assert_all_but(rows, set())


def test_an_engine_that_is_killed_twice_from_outside_costs_nobody_an_answer(executor: Callable[..., Executor]) -> None:
    """The prompts of the first window meet both deaths, and are asked one by one."""
    fed = executor({"latency": 1.0})
    first = fed.server()
    slot = fed.slot(prompts(1000, 4))
    wait_until(lambda: fed.n_in_flight() == 4, "the prompts are in flight")
    first.kill()
    first.wait()
    wait_until(lambda: fed.n_in_flight() == 4, "the prompts are in flight again")
    fed.server().kill()
    rows = fed.rows(slot)
    assert len(rows) == 4
    assert_all_but(rows, set())


def test_an_engine_that_is_stopped_is_ended_and_costs_nobody_an_answer(executor: Callable[..., Executor]) -> None:
    fed = executor({"latency": 0.05}, hang_seconds=1)
    server = fed.server()
    slot = fed.slot(prompts(1000, 150))
    wait_until(lambda: fed.count("request_success_total") > 2 * WINDOW, "there are answers")
    server.suspend()
    rows = fed.rows(slot)
    assert len(rows) == 150 and len({row["engine_id"] for row in rows.values()}) == 2
    assert_all_but(rows, set())
    assert not server.is_running()


def test_a_prompt_that_the_engine_hangs_with_is_found_while_its_health_check_says_that_all_is_well(
    executor: Callable[..., Executor],
) -> None:
    fed = executor({"hang": POISON, "latency": 0.02}, hang_seconds=1)
    rows = fed.rows(fed.slot([*prompts(1000, 20), [POISON, 1, 2], *prompts(1020, 20)]))
    assert len(rows) == 41
    assert_all_but(rows, {POISON})
    assert "prox_spark: the engine hangs: prompts waited 1 s" in rows[POISON]["error_message"]


def test_a_killed_slot_leaves_its_share_to_the_other(executor: Callable[..., Executor]) -> None:
    # The requests never end, so a slot's requests in flight are its share.
    fed = executor({"latency": 600})
    first = fed.slot(prompts(1000, 100))
    wait_until(lambda: fed.n_in_flight() == WINDOW, "the first slot has the whole window")
    second = fed.slot(prompts(2000, 100))
    try:
        wait_until(lambda: fed.n_in_flight() == WINDOW + 1, "the second slot has the one request that all have")
        first.kill()
        # By the slots' own count, because the engine's may take any value while connections end.
        state = fed.directory / "slots" / "1"
        wait_until(lambda: struct.unpack("<i?", state.read_bytes()) == (WINDOW, True), "the second has all of it")
    finally:
        for slot in (first, second):
            slot.kill()
            slot.communicate()


def test_a_slot_that_is_killed_while_it_asks_alone_holds_up_nobody(executor: Callable[..., Executor]) -> None:
    fed = executor({"latency": 0.02})
    fed.engine()
    hold = "import fcntl, sys; door = open(sys.argv[1], 'ab'); fcntl.flock(door, 2); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(fed.directory / "door")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        slot = fed.slot(prompts(1000, 30), before=TELL_REFUSALS)
        assert slot.stderr and "refused\n" in slot.stderr, "it did not try the door"
        assert "refused\n" in slot.stderr, "it did not try the door again"
        assert fed.count("request_success_total") == 0
        holder.kill()
    assert_all_but(fed.rows(slot), set())
