"""The one engine of an executor and model: started by whoever comes first, found by all others, gone with the executor.

Spark forks a Python worker per task slot and may kill it between two tasks, so the engine is a process of its own that a
lock file in an executor-private directory leads to.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from prox_spark.config import fingerprint
from prox_spark.engine.device import assigned_gpus
from prox_spark.engine.executor import Owner, current_owner, engine_directory, owner_directory, remove_leftovers
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import EngineStartError
from prox_spark.refiners.build import built_path, is_built

_LOG_LINES = 15
# How long a running engine may be too busy for its health check before it is taken for hung.
_BUSY_SECONDS = 30.0
# The supervisor itself asks for three seconds before it kills.
_END_SECONDS = 8.0


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Attributes:
        engine_id: FAMILY-START, unique for each start; stands in every generation it answers. Engines of one executor and model
            are a family: all after its first are restarts.
        pid: of its supervisor.
        started: of its supervisor, see Owner.
        socket: path of the Unix socket of its OpenAI-compatible server.
        log: path of its log.
        starts: how often this executor has started it, this start included.
    """

    engine_id: str
    pid: int
    started: float
    socket: str
    log: str
    starts: int

    def is_alive(self) -> bool:
        """Does its supervisor run and its server answer."""
        return Owner(self.pid, self.started).is_alive() and is_healthy(self.socket)

    def last_lines(self) -> str:
        """The end of its log, for error messages."""
        return _tail(Path(self.log))


def connect(spec: EngineSpec) -> Engine:
    """The executor's engine for a spec; started, and its refiner built, when it is not there.

    Raises:
        EngineStartError: it was not ready in time, died at once or died too often; the message holds its last log lines.
    """
    owner = current_owner()
    directory = engine_directory(owner, spec.key)
    with (directory / "lock").open("a") as lock:
        # Held through the start: the other task slots wait here. The kernel frees it should its holder be killed.
        fcntl.flock(lock, fcntl.LOCK_EX)
        engine = _known(directory)
        if engine and _is_ready(engine, spec.config.start_seconds):
            return engine
        if engine:
            _end(engine)  # never two: the old one may still hold the device
        starts = engine.starts if engine else 0
        if engine and starts > spec.config.max_restarts:
            raise EngineStartError(
                f"the engine of refiner {spec.refiner.card.name} died {starts} times on this executor, "
                f"engine.max_restarts is {spec.config.max_restarts}. Its last words ({engine.log}):\n{engine.last_lines()}"
            )
        return _start(spec, owner, directory, starts + 1)


def running(owner: Owner) -> list[Engine]:
    """The engines of an executor that are alive, for progress and tests."""
    engines = (_known(path.parent) for path in owner_directory(owner).glob("*/engine.json"))
    return [engine for engine in engines if engine and engine.is_alive()]


def is_healthy(socket_path: str, seconds: float = 5.0) -> bool:
    """Does the server at a Unix socket answer its health check."""
    return request(socket_path, "/health", seconds) is not None


def request(socket_path: str, path: str, seconds: float = 5.0) -> str | None:
    """GET over a Unix socket: the body of a 200 answer, None for anything else."""
    connection = http.client.HTTPConnection("localhost", timeout=seconds)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(seconds)
        connection.sock.connect(socket_path)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read().decode() if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _start(spec: EngineSpec, owner: Owner, directory: Path, starts: int) -> Engine:
    remove_leftovers()
    log, sock = directory / "engine.log", directory / "s"
    sock.unlink(missing_ok=True)
    environment = spec.environment(assigned_gpus())
    model = _model(spec, environment)
    if log.exists():
        log.rename(log.with_suffix(".previous.log"))
    command = [
        sys.executable,
        "-m",
        "prox_spark.engine.supervisor",
        str(owner.pid),
        repr(owner.started),
        str(directory),
    ]
    supervisor = subprocess.Popen(
        [*command, "--", *spec.command(model, sock)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=directory,
    )
    process = psutil.Process(supervisor.pid)
    engine = Engine(
        f"{fingerprint(socket.gethostname(), asdict(owner), spec.key)[:12]}-{uuid.uuid4().hex[:8]}",
        process.pid,
        Owner.of(process).started,
        str(sock),
        str(log),
        starts,
    )
    _remember(directory, engine)
    try:
        if _is_ready(engine, spec.config.start_seconds):
            return engine
        cause = (
            f"was not ready after engine.start_seconds = {spec.config.start_seconds:g} s"
            if supervisor.poll() is None
            else "died while starting"
        )
        raise EngineStartError(f"the engine {cause}. {_advice(spec)} Its last words ({log}):\n{_tail(log)}")
    except BaseException:
        _end(engine)
        raise


def _is_ready(engine: Engine, start_seconds: float) -> bool:
    """Waits for an engine that is alive: one that starts has until its deadline, a busy one has a while to answer."""
    process = Owner(engine.pid, engine.started)
    patience = max(start_seconds - process.age_seconds(), _BUSY_SECONDS if process.age_seconds() > start_seconds else 0)
    deadline = time.monotonic() + patience
    while process.is_alive():
        if is_healthy(engine.socket):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return False


def _end(engine: Engine) -> None:
    """Ends an engine by its supervisor, which ends all that belongs to it."""
    process = Owner(engine.pid, engine.started)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine.pid, number)
        deadline = time.monotonic() + _END_SECONDS
        while process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.1)


def _model(spec: EngineSpec, environment: dict[str, str]) -> Path:
    """The weights on this machine. Built by a process of its own: a Spark worker must not import torch."""
    if not is_built(spec.refiner):
        command = [sys.executable, "-m", "prox_spark.refiners.build", str(spec.refiner.reference)]
        built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if built.returncode:
            raise EngineStartError(f"refiner {spec.refiner.card.name} can't be built: {built.stderr.strip()[-2000:]}")
    return built_path(spec.refiner)


def _advice(spec: EngineSpec) -> str:
    if spec.device == "cpu":
        return "Lower engine.cpu_kv_cache_gib if memory is short, raise engine.start_seconds on a slow disk."
    return (
        f"Lower engine.gpu_memory_fraction (now {spec.config.gpu_memory_fraction:g}) if memory is short, "
        "raise engine.start_seconds if the model is large."
    )


def _known(directory: Path) -> Engine | None:
    try:
        return Engine(**json.loads((directory / "engine.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _remember(directory: Path, engine: Engine) -> None:
    partial = directory / "engine.json.partial"
    partial.write_text(json.dumps(asdict(engine)), encoding="utf-8")
    os.replace(partial, directory / "engine.json")


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"(no log: {error.strerror})"
    return "\n".join(line[:400] for line in lines[-_LOG_LINES:])
