"""The one engine of an executor and model: the first slot starts it, the others find it, and it ends with the executor.

Spark forks a Python worker for each task slot and may kill it between two tasks. So the engine is a process of its own,
which workers find through a lock file in an executor-private directory.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from prox_spark.engine.host.executor import Owner, find_owner, locate_owner_directory, make_engine_directory
from prox_spark.engine.life.compile_cache import compile_turn
from prox_spark.engine.life.diagnosis import find_cause
from prox_spark.engine.life.reaper import end_engine, remove_leftovers
from prox_spark.engine.life.record import Engine, EngineRecord, Failure, read_records, read_tail
from prox_spark.engine.life.start import build_engine_environment, launch, wait_until_ready
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.wire.answers import read_error_message
from prox_spark.engine.wire.health import exchange, read_metrics
from prox_spark.errors import EngineStartError
from prox_spark.locks import locked
from prox_spark.refiners.adapters import copy_adapter

# Wait before the start after the first death; it doubles after each further death. The cause, such as a GPU that is
# being reset or memory that another program holds, may pass.
_BACK_OFF_SECONDS = 1.0
_MAX_BACK_OFF_SECONDS = 30.0
# Lines of the log that are searched for the cause of a death.
_LAST_LINES = 500


def connect(spec: EngineSpec, run: str = "") -> Engine:
    """Return the executor's engine for a spec. If there is none, build its refiner and start it.

    If the start fails, every slot that waited for it gets the same error. The same run does not repeat a start that is sure
    to fail again.

    Args:
        spec: the engine.
        run: id of the run that asks. Each run may restart a dead engine `engine.max_restarts` times, whatever happened
            in others.

    Raises:
        EngineStartError: the engine was not ready in time, died at once or died too often, or its files can't be
            written. The message holds the cause and its last log lines.
    """
    engine = _find_or_start(spec, run)
    if spec.adapter:
        _load_adapter(spec, engine)
    return engine


def _find_or_start(spec: EngineSpec, run: str) -> Engine:
    asked = time.monotonic()
    owner = find_owner()
    directory = make_engine_directory(owner, spec.key)
    try:
        # The locks are held during the start, and the other task slots wait here.
        with _device_turn(spec, directory), locked(directory):
            record = EngineRecord.load(directory)
            if record.engine and wait_until_ready(record.engine, spec.config.start_seconds):
                if run not in record.deaths_before:
                    record.add_run(run).save(directory)
                return record.engine
            record = _bury(record, directory).add_run(run)
            if record.failure and record.failure.concerns(run, asked):
                raise EngineStartError(record.failure.message, record.failure.cause, record.failure.is_final)
            n_deaths = record.count_deaths(run)
            if n_deaths > spec.config.max_restarts:
                raise _build_deaths_error(spec, directory, record, n_deaths)
            time.sleep(_choose_back_off_seconds(n_deaths))
            return _start(spec, owner, directory, record, run)
    except OSError as error:
        raise EngineStartError(
            f"can't keep an engine's files in {directory}: {error}. Set PROX_SPARK_RUNTIME to a directory on a local disk with space"
        ) from error


def forgive(spec: EngineSpec, n_deaths: int) -> None:
    """Subtract deaths from those that `engine.max_restarts` limits, because their cause was found and will not return.

    Args:
        spec: an engine of this executor.
        n_deaths: number of deaths; the count stops at 0.
    """
    directory = make_engine_directory(find_owner(), spec.key)
    with locked(directory):
        record = EngineRecord.load(directory)
        if record.engine and not record.engine.is_alive():
            record = _bury(record, directory)  # it may be one of the deaths to forgive, not counted yet
        record.forgive(n_deaths).save(directory)


def find_running_engines(owner: Owner) -> list[Engine]:
    """Find the engines of an executor that are alive, for progress and tests."""
    found = read_records(locate_owner_directory(owner)).values()
    return [record.engine for record in found if record.engine and record.engine.is_alive()]


def _start(spec: EngineSpec, owner: Owner, directory: Path, record: EngineRecord, run: str) -> Engine:
    remove_leftovers()
    environment = build_engine_environment(spec, directory)
    try:
        with compile_turn(spec, environment):
            start = launch(spec, owner, directory, environment, record)
            try:
                # Saved at once, so that if this worker is killed, the next one waits for this engine.
                record = record.add_start(start.engine)
                record.save(directory)
                start.wait(spec)
            except BaseException:
                end_engine(start.engine, directory)
                raise
    except EngineStartError as error:
        failure = Failure(run, time.monotonic(), str(error), error.cause, error.is_final)
        record.add_failure(failure).save(directory)
        raise
    return start.engine


def _load_adapter(spec: EngineSpec, engine: Engine) -> None:
    """Make an engine load a spec's adapter, once for all slots.

    If the engine dies meanwhile, this returns as usual, and the requests notice it.

    Raises:
        EngineStartError: the engine does not take the adapter, or does not answer.
    """
    seconds = spec.config.request_seconds
    content = {"lora_name": spec.model_name, "lora_path": str(copy_adapter(spec.refiner))}
    status, body = exchange(engine.socket, "POST", "/v1/load_lora_adapter", content, seconds)
    if status == 200:
        return
    if status or engine.is_alive():
        words = read_error_message(body.encode())[:1000] or f"no answer in engine.request_seconds = {seconds:g} s"
        raise EngineStartError(
            f"the engine can't take the adapter of refiner {spec.refiner.card.name}: {words}. Unset engine.max_lora_rank to have it "
            "merged into its base"
        )


def _build_deaths_error(spec: EngineSpec, directory: Path, record: EngineRecord, n_deaths: int) -> EngineStartError:
    log = directory / "engine.log"
    why = record.failure.cause if record.failure else find_cause(read_tail(log, _LAST_LINES), None, spec).text
    return EngineStartError(
        f"the engine of refiner {spec.refiner.card.name} died {n_deaths} times on this executor, engine.max_restarts is "
        f"{spec.config.max_restarts}. The last time: {why} Its last words ({log}):\n{read_tail(log)}",
        why,
    )


def _bury(record: EngineRecord, directory: Path) -> EngineRecord:
    """Count the death of a recorded engine that is gone or hangs.

    End its remaining processes first: they may hold the device.
    """
    if record.engine is None:
        return record
    end_engine(record.engine, directory)
    record = record.add_death()
    record.save(directory)
    return record


def _choose_back_off_seconds(deaths: int) -> float:
    return min(_MAX_BACK_OFF_SECONDS, _BACK_OFF_SECONDS * 2.0 ** (deaths - 1)) if deaths else 0.0


@contextlib.contextmanager
def _device_turn(spec: EngineSpec, directory: Path) -> Iterator[None]:
    """End the executor's other engines on this device if `engine.side_by_side` is off, and let no other start meanwhile.

    A stage begins when the tasks of the previous one have ended, so the previous engine is usually idle. It is not idle
    where Spark still runs a second copy of a task (speculation), or where a task that Spark gave up still runs. Then
    this waits for the answers. A slot that asks the previous engine later starts it again, in its turn. Neither end is
    a death.
    """
    if spec.config.side_by_side:
        yield
        return
    with locked(directory.parent):
        for other, record in read_records(directory.parent).items():
            if other != directory and record.engine and record.engine.gpus == ",".join(spec.gpus):
                _retire(other, spec.config.request_seconds)
        yield


def _retire(directory: Path, answer_seconds: float) -> None:
    with locked(directory):
        record = EngineRecord.load(directory)
        if record.engine is None:
            return
        # Requests have this deadline, and a killed worker's request ends with its connection. So a request that is
        # still open after it is in an engine that hangs, or belongs to a worker that was stopped.
        deadline = time.monotonic() + answer_seconds
        while (busy := read_metrics(record.engine.socket)) and busy.in_flight and time.monotonic() < deadline:
            time.sleep(0.2)
        end_engine(record.engine, directory)
        record.retire().save(directory)
