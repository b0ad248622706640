"""The start of an engine: its process, the wait until it answers, and the cause where it does not."""

from __future__ import annotations

import logging
import resource
import socket
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil

from prox_spark.engine.host.device import read_assigned_gpus
from prox_spark.engine.host.executor import Owner, fits_socket
from prox_spark.engine.host.interpreter import find_engine_python, has_own_environment, isolate
from prox_spark.engine.life.diagnosis import Cause, find_bottleneck, find_cause
from prox_spark.engine.life.record import Engine, EngineRecord
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.wire.health import is_healthy
from prox_spark.errors import EngineStartError
from prox_spark.refiners.build import built_path, is_built

LOG = logging.getLogger(__name__)
# Longest time that a running engine may be too busy for its health check before it counts as hung.
_BUSY_SECONDS = 30.0
# A start writes some hundred lines. Later lines say nothing about it.
_START_LOG_CHARS = 1_000_000
# torch and vLLM alone map more than 10 GiB.
_LEAST_ADDRESS_SPACE = 10 * 2**30


@dataclass(frozen=True)
class Start:
    """A started process that may become an engine."""

    engine: Engine
    supervisor: subprocess.Popen[bytes]

    def wait(self, spec: EngineSpec) -> None:
        """Wait until the engine answers.

        Raises:
            EngineStartError: it was not ready in time or died. The message holds the cause, what to change and its last
                lines.
        """
        if wait_until_ready(self.engine, spec.config.start_seconds):
            if spec.adapter and spec.device == "cpu":
                LOG.warning(
                    "engine.max_lora_rank is set: on a CPU adapters beside their base have a sixteenth of the speed of merged ones"
                )
            if advice := find_bottleneck(_read_log(self.engine.log), spec):
                LOG.warning("engine of refiner %s: %s", spec.refiner.card.name, advice)
            return
        status = self.supervisor.poll()
        if status is None:
            happened = f"was not ready after engine.start_seconds = {spec.config.start_seconds:g} s"
            why = Cause("Raise it if the model is large or its disk slow.")
        else:
            happened, why = "died while starting", find_cause(_read_log(self.engine.log), status, spec)
        message = (
            f"the engine of refiner {spec.refiner.card.name} {happened}: {why.text} "
            f"Its last words ({self.engine.log}):\n{self.engine.read_last_lines()}"
        )
        raise EngineStartError(message, f"it {happened}: {why.text}", why.is_final)


def launch(spec: EngineSpec, owner: Owner, directory: Path, environment: dict[str, str], record: EngineRecord) -> Start:
    """Start the process of an engine. Build its refiner first where that is missing.

    Args:
        spec: the engine.
        owner: the executor that the engine ends with.
        directory: directory of the engine, whose lock the caller holds.
        environment: see `build_engine_environment`.
        record: the engine's record before this start.

    Raises:
        EngineStartError: the refiner can't be built, or the directory can't hold a socket.
    """
    log, sock = directory / "engine.log", directory / "s"
    sock.unlink(missing_ok=True)
    _try_socket(sock)
    _check_memory_limit()
    model = _find_or_build_model(spec, environment)
    if log.exists():
        log.rename(log.with_suffix(".previous.log"))
    command = [find_engine_python(), "-m", "prox_spark.engine.life.supervisor"]
    command += [str(owner.pid), repr(owner.started), str(directory)]
    command += [str(seconds or "inf") for seconds in (spec.config.idle_seconds, spec.config.hang_seconds)]
    with log.open("ab") as output:  # also the supervisor's stderr, because it may fail before there is an engine
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
    """Return the environment of an engine of this task.

    vLLM's own sockets lie in the engine's directory and are removed with it.
    """
    environment = spec.build_environment(read_assigned_gpus())
    if has_own_environment():
        isolate(environment, directory)
    # vLLM names its sockets by UUID. Where the engine's directory is too deep for such names, they lie among the
    # temporary files of the worker, because the engine's own TMPDIR is its directory.
    places = (str(directory), tempfile.gettempdir(), "/tmp")
    name = str(uuid.UUID(int=0))
    environment["VLLM_RPC_BASE_PATH"] = next((place for place in places if fits_socket(Path(place) / name)), places[-1])
    return environment


def wait_until_ready(engine: Engine, start_seconds: float) -> bool:
    """Wait for a living engine and return whether it answers.

    A starting engine has until its deadline, and a busy one has `_BUSY_SECONDS`.
    """
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
    """Raise an EngineStartError where the file system has no sockets.

    Some network mounts and shared folders of virtual machines have files only.
    """
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
        path.unlink()
    except OSError as error:
        raise EngineStartError(
            f"no Unix socket can be made in {path.parent}: {error.strerror}. Set PROX_SPARK_RUNTIME to a directory on a local disk"
        ) from error


def _check_memory_limit() -> None:
    """Raise an EngineStartError where the limit on address space is far below torch's need.

    An engine is a child of the task's Python worker and inherits its limit.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
        raise EngineStartError(
            f"Python workers may have {limit / 2**30:.1f} GiB of address space here, and no engine starts within that. Unset "
            "spark.executor.pyspark.memory (or lift `ulimit -v`), and leave room for the engine in spark.executor.memoryOverhead",
            is_final=True,
        )


def _find_or_build_model(spec: EngineSpec, environment: dict[str, str]) -> Path:
    """Return the path of the weights on this machine.

    Build them in another process, because a Spark worker must not import torch.
    """
    if is_built(spec.served):
        return built_path(spec.served)
    options = ["--bare"] if spec.adapter else []
    options += ["--expect", spec.served.model_fingerprint, str(spec.refiner.reference)]
    command = [find_engine_python(), "-m", "prox_spark.refiners.build", *options]
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if built.returncode:
        raise EngineStartError(f"refiner {spec.refiner.card.name} can't be built: {built.stderr.strip()[-2000:]}")
    # Use the path that the build printed, because the hub's cache may lie elsewhere than on the driver.
    return Path(built.stdout.splitlines()[-1])


def _read_log(log: str) -> str:
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read(_START_LOG_CHARS)
