"""The start of an engine: its process, the wait until it answers, and why it did not."""

from __future__ import annotations

import logging
import resource
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil

from prox_spark.engine.host.device import read_assigned_gpus
from prox_spark.engine.host.executor import Owner, fits_socket
from prox_spark.engine.life.diagnosis import Cause, find_bottleneck, find_cause
from prox_spark.engine.life.record import Engine, EngineRecord
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.wire.health import is_healthy
from prox_spark.errors import EngineStartError
from prox_spark.refiners.build import built_path, is_built

LOG = logging.getLogger(__name__)
# How long a running engine may be too busy for its health check before it is taken for hung.
_BUSY_SECONDS = 30.0
# A start writes some hundred lines; what comes later says nothing about it.
_START_LOG_CHARS = 1_000_000
# torch and vLLM alone map more than ten.
_LEAST_ADDRESS_SPACE = 10 * 2**30


@dataclass(frozen=True)
class Start:
    """A started process that may become an engine."""

    engine: Engine
    supervisor: subprocess.Popen[bytes]

    def wait(self, spec: EngineSpec) -> None:
        """Returns when the engine answers.

        Raises:
            EngineStartError: it was not ready in time or died; the message holds the cause, what to change and its last lines.
        """
        if wait_until_ready(self.engine, spec.config.start_seconds):
            if spec.adapter and spec.device == "cpu":
                LOG.warning(
                    "engine.max_lora_rank is set: on a CPU adapters beside their base have a sixteenth of the speed of merged ones"
                )
            if advice := find_bottleneck(_read(self.engine.log), spec):
                LOG.warning("engine of refiner %s: %s", spec.refiner.card.name, advice)
            return
        status = self.supervisor.poll()
        if status is None:
            happened = f"was not ready after engine.start_seconds = {spec.config.start_seconds:g} s"
            why = Cause("Raise it if the model is large or its disk slow.")
        else:
            happened, why = "died while starting", find_cause(_read(self.engine.log), status, spec)
        message = (
            f"the engine of refiner {spec.refiner.card.name} {happened}: {why.text} "
            f"Its last words ({self.engine.log}):\n{self.engine.read_last_lines()}"
        )
        raise EngineStartError(message, f"it {happened}: {why.text}", why.is_final)


def launch(spec: EngineSpec, owner: Owner, directory: Path, environment: dict[str, str], record: EngineRecord) -> Start:
    """Starts the process of an engine; the refiner is built first when it is not.

    Args:
        spec: which engine.
        owner: the executor that it ends with.
        directory: of the engine; its lock is held.
        environment: see `build_engine_environment`.
        record: what it was so far.

    Raises:
        EngineStartError: the refiner can't be built, or the directory can't hold a socket.
    """
    log, sock = directory / "engine.log", directory / "s"
    sock.unlink(missing_ok=True)
    _try_socket(sock)
    _check_memory_limit()
    model = _model(spec, environment)
    if log.exists():
        log.rename(log.with_suffix(".previous.log"))
    command = [sys.executable, "-m", "prox_spark.engine.life.supervisor"]
    command += [str(owner.pid), repr(owner.started), str(directory)]
    command += [str(seconds or "inf") for seconds in (spec.config.idle_seconds, spec.config.hang_seconds)]
    with log.open("ab") as output:  # the supervisor's too: it may fail before there is an engine
        supervisor = subprocess.Popen(
            [*command, "--", *spec.build_command(model, sock)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,
            cwd=directory,
        )
    process = Owner.of(psutil.Process(supervisor.pid))
    place = (str(sock), str(log))
    engine = Engine(record.make_next_id(), process.pid, process.started, *place, record.starts + 1, ",".join(spec.gpus))
    return Start(engine, supervisor)


def build_engine_environment(spec: EngineSpec, directory: Path) -> dict[str, str]:
    """The environment of an engine of this task, in whose directory vLLM's own sockets lie, lest they outlive it."""
    environment = spec.build_environment(read_assigned_gpus())
    # vLLM names them by UUID. In a directory too deep for that they are where temporary files are; the engine's own are in it.
    places = (str(directory), tempfile.gettempdir(), "/tmp")
    name = str(uuid.UUID(int=0))
    environment["VLLM_RPC_BASE_PATH"] = next((at for at in places if fits_socket(Path(at) / name)), places[-1])
    return environment


def wait_until_ready(engine: Engine, start_seconds: float) -> bool:
    """Waits for an engine that is alive: one that starts has until its deadline, a busy one has a while to answer."""
    process = engine.supervisor
    patience = max(start_seconds - process.age_seconds(), _BUSY_SECONDS if process.age_seconds() > start_seconds else 0)
    deadline = time.monotonic() + patience
    while process.is_alive():
        if is_healthy(engine.socket):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return False


def _try_socket(path: Path) -> None:
    """Some file systems (network mounts, shared folders of virtual machines) have files but no sockets."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
        path.unlink()
    except OSError as error:
        raise EngineStartError(
            f"no Unix socket can be made in {path.parent}: {error.strerror}. Set PROX_SPARK_RUNTIME to a directory on a local disk"
        ) from error


def _check_memory_limit() -> None:
    """An engine is a child of the task's Python worker, and would have its limit on address space, far below what torch takes."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
        raise EngineStartError(
            f"Python workers may have {limit / 2**30:.1f} GiB of address space here, and no engine starts within that. Unset "
            "spark.executor.pyspark.memory (or lift `ulimit -v`), and leave room for the engine in spark.executor.memoryOverhead",
            is_final=True,
        )


def _model(spec: EngineSpec, environment: dict[str, str]) -> Path:
    """The weights on this machine. Built by a process of its own: a Spark worker must not import torch."""
    if is_built(spec.served):
        return built_path(spec.served)
    options = ["--bare"] if spec.adapter else []
    options += ["--expect", spec.served.model_fingerprint, str(spec.refiner.reference)]
    command = [sys.executable, "-m", "prox_spark.refiners.build", *options]
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if built.returncode:
        raise EngineStartError(f"refiner {spec.refiner.card.name} can't be built: {built.stderr.strip()[-2000:]}")
    # What is said, for the hub's cache need not be where the driver's is.
    return Path(built.stdout.splitlines()[-1])


def _read(log: str) -> str:
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read(_START_LOG_CHARS)
