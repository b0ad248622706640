"""What an executor remembers of an engine of its own: one file in the engine's directory, changed under its lock only."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from prox_spark.engine.host.executor import Owner
from prox_spark.engine.wire.health import is_healthy

_FILE = "engine.json"
# Of so many runs an executor keeps apart what happened before; one that asks for the engine again after as many others begins anew.
_RUNS = 64
_LOG_LINES = 15
_LOG_BYTES = 65_536


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Attributes:
        engine_id: FAMILY-NUMBER, unique for each start; stands in every generation it answers. The first of a family was started
            because it was wanted, each later one in place of the one before, which died.
        pid: of its supervisor.
        started: of its supervisor, see Owner.
        socket: path of the Unix socket of its OpenAI-compatible server.
        log: path of its log.
        starts: how often this executor has started it, this start included.
        gpus: addresses of the GPUs it has to itself, separated by commas; empty on CPU or without GPU scheduling.
    """

    engine_id: str
    pid: int
    started: float
    socket: str
    log: str
    starts: int
    gpus: str = ""

    @property
    def supervisor(self) -> Owner:
        """The process that the engine's others end with."""
        return Owner(self.pid, self.started)

    def is_alive(self) -> bool:
        """Does its supervisor run and its server answer."""
        return self.supervisor.is_alive() and is_healthy(self.socket)

    def read_last_lines(self) -> str:
        """The end of its log, for error messages."""
        return read_tail(Path(self.log))


@dataclass(frozen=True)
class Failure:
    """A start that failed.

    Attributes:
        run: whose slot tried.
        at: when, in seconds of `time.monotonic()`: the same for all processes of a host.
        message: of the error.
        cause: the part of it that says why.
        is_final: it would fail in the same way again.
    """

    run: str
    at: float
    message: str
    cause: str
    is_final: bool

    def concerns(self, run: str, asked: float) -> bool:
        """Is it the answer to a slot of a run that asked for the engine at a time: it waited for that start, or needs no other."""
        return asked <= self.at or (self.is_final and self.run == run)


@dataclass(frozen=True)
class EngineRecord:
    """The life of an executor's engine so far.

    Attributes:
        engine: as it was started last; None before the first start, and after it was found dead or ended on purpose.
        starts: how often it was started, whatever became of it.
        deaths: how often it died without being asked to, less those forgiven.
        dead: id of the engine that died last and was not replaced yet.
        failure: the last start, where it failed.
        deaths_before: by run, the deaths that there were when it first asked for the engine. `engine.max_restarts` limits those
            after: what broke an earlier run may be mended.
    """

    engine: Engine | None = None
    starts: int = 0
    deaths: int = 0
    dead: str | None = None
    failure: Failure | None = None
    deaths_before: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, directory: Path) -> EngineRecord:
        """The record in an engine's directory; an empty one where there is none."""
        try:
            data = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        engine, failure = data.pop("engine"), data.pop("failure")
        return cls(Engine(**engine) if engine else None, failure=Failure(**failure) if failure else None, **data)

    def save(self, directory: Path) -> None:
        """Writes it, whole or not at all."""
        partial = directory / f"{_FILE}.partial"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(partial, directory / _FILE)

    def add_run(self, run: str) -> EngineRecord:
        """With one more run, unless it is known. An engine that died before it came is replaced by the first of a new family."""
        if run in self.deaths_before:
            return self
        latest = dict(list(self.deaths_before.items())[1 - _RUNS :])
        return replace(self, dead=None, deaths_before=latest | {run: self.deaths})

    def count_deaths(self, run: str) -> int:
        """Since a run first asked for the engine."""
        return max(0, self.deaths - self.deaths_before.get(run, 0))

    def add_start(self, engine: Engine) -> EngineRecord:
        """With another engine."""
        return replace(self, engine=engine, starts=engine.starts, dead=None, failure=None)

    def add_failure(self, failure: Failure) -> EngineRecord:
        """With a start that failed, which is a death where a process had been started."""
        return replace(self.add_death() if self.engine else self, failure=failure)

    @property
    def last_id(self) -> str | None:
        """Id of the engine that was started last, unless that was ended on purpose."""
        return self.engine.engine_id if self.engine else self.dead

    def make_next_id(self) -> str:
        """Id of the engine to start."""
        family, _, number = (self.dead or f"{uuid.uuid4().hex[:12]}-0").partition("-")
        return f"{family}-{int(number) + 1}"

    def add_death(self) -> EngineRecord:
        """With one more death and no engine."""
        return replace(self, engine=None, deaths=self.deaths + 1, dead=self.engine.engine_id if self.engine else None)

    def retire(self) -> EngineRecord:
        """Without its engine, which was ended on purpose: no death."""
        return replace(self, engine=None)

    def forgive(self, n_deaths: int) -> EngineRecord:
        """With fewer deaths."""
        return replace(self, deaths=max(0, self.deaths - n_deaths))


def read_records(executor: Path) -> dict[Path, EngineRecord]:
    """By directory, the engines that an executor has or had.

    Args:
        executor: see `locate_owner_directory`.
    """
    found = {}
    for path in executor.glob(f"*/{_FILE}"):
        # Its directory goes while we look, or another version of this package wrote it.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found[path.parent] = EngineRecord.load(path.parent)
    return found


def read_tail(log: Path, n_lines: int = _LOG_LINES) -> str:
    """The last lines of a log, each cut to one that a message can hold."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"(no log: {error.strerror})"
    return "\n".join(line[:400] for line in lines[-n_lines:])
