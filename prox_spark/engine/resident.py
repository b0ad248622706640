"""The one engine of an executor and model: started by whoever comes first, found by all others, gone with the executor.

Spark forks a Python worker per task slot and may kill it between two tasks, so the engine is a process of its own that a
lock file in an executor-private directory leads to.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from prox_spark.engine.compile_cache import compile_turn
from prox_spark.engine.executor import Owner, current_owner, engine_directory, owner_directory
from prox_spark.engine.health import is_healthy, metrics, request
from prox_spark.engine.locks import locked
from prox_spark.engine.reaper import end_engine, remove_leftovers
from prox_spark.engine.record import Engine, Record, records, tail
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.start import engine_environment, launch, wait_until_ready
from prox_spark.errors import EngineStartError

__all__ = ["Engine", "connect", "forgive", "is_healthy", "request", "running"]

# Before the start after the first death; twice as long after each further one. What killed the engine, such as a GPU that
# is being reset or memory that another program holds, may pass.
_BACK_OFF_SECONDS = 1.0
_MAX_BACK_OFF_SECONDS = 30.0


def connect(spec: EngineSpec) -> Engine:
    """The executor's engine for a spec; started, and its refiner built, when it is not there.

    Raises:
        EngineStartError: it was not ready in time, died at once or died too often, or there is no place for its files. The
            message holds the cause and its last log lines.
    """
    owner = current_owner()
    directory = engine_directory(owner, spec.key)
    try:
        # The locks are held through the start: the other task slots wait here.
        with _turn(spec, directory), locked(directory):
            record = Record.load(directory)
            if record.engine and wait_until_ready(record.engine, spec.config.start_seconds):
                return record.engine
            record = _buried(record, directory)
            if record.deaths > spec.config.max_restarts:
                log = directory / "engine.log"
                raise EngineStartError(
                    f"the engine of refiner {spec.refiner.card.name} died {record.deaths} times on this executor, "
                    f"engine.max_restarts is {spec.config.max_restarts}. Its last words ({log}):\n{tail(log)}"
                )
            time.sleep(_back_off_seconds(record.deaths))
            return _started(spec, owner, directory, record)
    except OSError as error:
        raise EngineStartError(
            f"can't keep an engine's files in {directory}: {error}. Set PROX_SPARK_RUNTIME to a directory on a local disk with space"
        ) from error


def forgive(spec: EngineSpec, n_deaths: int) -> None:
    """Takes deaths off those that `engine.max_restarts` limits: their cause was found and will not come again.

    Args:
        spec: an engine of this executor.
        n_deaths: how many; more than there were leave none.
    """
    directory = engine_directory(current_owner(), spec.key)
    with locked(directory):
        record = Record.load(directory)
        if record.engine and not record.engine.is_alive():
            record = _buried(record, directory)  # one of the deaths to forgive, perhaps, that nobody has counted yet
        record.forgiven(n_deaths).save(directory)


def running(owner: Owner) -> list[Engine]:
    """The engines of an executor that are alive, for progress and tests."""
    found = records(owner_directory(owner)).values()
    return [record.engine for record in found if record.engine and record.engine.is_alive()]


def _started(spec: EngineSpec, owner: Owner, directory: Path, record: Record) -> Engine:
    remove_leftovers()
    environment = engine_environment(spec, directory)
    with compile_turn(spec, environment):
        start = launch(spec, owner, directory, environment, record)
        try:
            # At once: should this worker be killed, the next one waits for this engine.
            record.started(start.engine).save(directory)
            start.wait(spec)
        except BaseException:
            end_engine(start.engine, directory)
            raise
    return start.engine


def _buried(record: Record, directory: Path) -> Record:
    """Counts an engine that should be there and isn't, or hangs. What is left of it ends first: it may hold the device."""
    if record.engine is None:
        return record
    end_engine(record.engine, directory)
    record = record.died()
    record.save(directory)
    return record


def _back_off_seconds(deaths: int) -> float:
    return min(_MAX_BACK_OFF_SECONDS, _BACK_OFF_SECONDS * 2.0 ** (deaths - 1)) if deaths else 0.0


@contextlib.contextmanager
def _turn(spec: EngineSpec, directory: Path) -> Iterator[None]:
    """With `engine.side_by_side` off, ends the executor's other engines on this device and keeps others from starting meanwhile.

    A stage begins when the tasks of the one before it have ended, so that an engine of that one is idle as a rule. It is not
    where Spark still runs a task twice (speculation) or has given one up that runs on: then its answers are waited for. A
    slot that asks it again later starts it again, after this one in turn; neither is a death.
    """
    if spec.config.side_by_side:
        yield
        return
    with locked(directory.parent):
        for other, record in records(directory.parent).items():
            if other != directory and record.engine and record.engine.gpus == ",".join(spec.gpus):
                _retire(other)
        yield


def _retire(directory: Path) -> None:
    with locked(directory):
        record = Record.load(directory)
        if record.engine is None:
            return
        # No deadline of its own: each request has one, and one whose worker was killed is gone with its connection.
        while (busy := metrics(record.engine.socket)) and busy.in_flight:
            time.sleep(0.2)
        end_engine(record.engine, directory)
        record.retired().save(directory)
