"""An executor's record of one of its engines: a file in the engine's directory, changed only under its lock."""

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
# Number of latest runs that a record tells apart. A run that asks again after as many others counts as new.
_RUNS = 64
_LOG_LINES = 15
_LOG_BYTES = 65_536


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Attributes:
        engine_id: FAMILY-NUMBER, unique for each start; stored with every generation that it answers. The first of a
            family was started because a run wanted it, and each later one replaced its predecessor, which died.
        pid: pid of its supervisor.
        started: start time of its supervisor, see Owner.
        socket: path of the Unix socket of its OpenAI-compatible server.
        log: path of its log.
        starts: number of times that this executor has started it, including this start.
        gpus: addresses of the GPUs that only it uses, separated by commas; empty on CPU or without GPU scheduling.
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
        """The supervisor. When it ends, all processes of the engine are ended."""
        return Owner(self.pid, self.started)

    def is_alive(self) -> bool:
        """Return True if its supervisor runs and its server answers."""
        return self.supervisor.is_alive() and is_healthy(self.socket)

    def read_last_lines(self) -> str:
        """Read the end of its log, for error messages."""
        return read_tail(Path(self.log))


@dataclass(frozen=True)
class Failure:
    """A start that failed.

    Attributes:
        run: id of the run whose slot tried.
        at: time of the failure in seconds of `time.monotonic()`, which is the same for all processes of a host.
        message: message of the error.
        cause: the part of the message that says why.
        is_final: True if another start would fail in the same way.
    """

    run: str
    at: float
    message: str
    cause: str
    is_final: bool

    def concerns(self, run: str, asked: float) -> bool:
        """Return True if this failure answers a slot of a run that asked for the engine at `asked`.

        Either the slot waited for this start, or retrying in the same run is pointless.
        """
        return asked <= self.at or (self.is_final and self.run == run)


@dataclass(frozen=True)
class EngineRecord:
    """The history of an executor's engine.

    Attributes:
        engine: the engine of the last start; None before the first start, and after it was found dead or ended on
            purpose.
        starts: number of starts, successful or not.
        deaths: number of deaths that were not on purpose, minus those forgiven.
        dead: id of the engine that died last and is not replaced yet.
        failure: the failure of the last start; None where it succeeded.
        deaths_before: by run, the number of deaths when it first asked for the engine. `engine.max_restarts` limits
            only the deaths after that, because the cause of earlier ones may be mended.
    """

    engine: Engine | None = None
    starts: int = 0
    deaths: int = 0
    dead: str | None = None
    failure: Failure | None = None
    deaths_before: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, directory: Path) -> EngineRecord:
        """Load the record in an engine's directory; an empty one where there is none."""
        try:
            data = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        engine, failure = data.pop("engine"), data.pop("failure")
        return cls(Engine(**engine) if engine else None, failure=Failure(**failure) if failure else None, **data)

    def save(self, directory: Path) -> None:
        """Write the record, whole or not at all."""
        partial = directory / f"{_FILE}.partial"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(partial, directory / _FILE)

    def add_run(self, run: str) -> EngineRecord:
        """Return the record with a run that asks for the engine, and the number of deaths before its first request.

        The engine that replaces one that died earlier begins a new family.
        """
        if run in self.deaths_before:
            return self
        latest = dict(list(self.deaths_before.items())[1 - _RUNS :])
        return replace(self, dead=None, deaths_before=latest | {run: self.deaths})

    def count_deaths(self, run: str) -> int:
        """Count the deaths since a run first asked for the engine."""
        return max(0, self.deaths - self.deaths_before.get(run, 0))

    def add_start(self, engine: Engine) -> EngineRecord:
        """Return the record with a newly started engine."""
        return replace(self, engine=engine, starts=engine.starts, dead=None, failure=None)

    def add_failure(self, failure: Failure) -> EngineRecord:
        """Return the record with a failed start. It counts as a death if a process had been started."""
        return replace(self.add_death() if self.engine else self, failure=failure)

    @property
    def last_id(self) -> str | None:
        """Id of the engine that was started last; None where it was ended on purpose."""
        return self.engine.engine_id if self.engine else self.dead

    def make_next_id(self) -> str:
        """Make the id of the next engine to start."""
        family, _, number = (self.dead or f"{uuid.uuid4().hex[:12]}-0").partition("-")
        return f"{family}-{int(number) + 1}"

    def add_death(self) -> EngineRecord:
        """Return the record with one more death and without an engine."""
        return replace(self, engine=None, deaths=self.deaths + 1, dead=self.engine.engine_id if self.engine else None)

    def retire(self) -> EngineRecord:
        """Return the record without its engine, which was ended on purpose and did not die."""
        return replace(self, engine=None)

    def forgive(self, n_deaths: int) -> EngineRecord:
        """Return the record with fewer deaths."""
        return replace(self, deaths=max(0, self.deaths - n_deaths))


def read_records(executor: Path) -> dict[Path, EngineRecord]:
    """Read the records of all engines that an executor has or had, by directory.

    Args:
        executor: directory of the executor, see `locate_owner_directory`.
    """
    found = {}
    for path in executor.glob(f"*/{_FILE}"):
        # The directory may be removed meanwhile, or another version of this package may have written the file.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found[path.parent] = EngineRecord.load(path.parent)
    return found


def read_tail(log: Path, n_lines: int = _LOG_LINES) -> str:
    """Read the last lines of a log, each cut to a length that fits a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"(no log: {error.strerror})"
    return "\n".join(line[:400] for line in lines[-n_lines:])
