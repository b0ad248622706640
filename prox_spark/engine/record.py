"""What an executor remembers of an engine of its own: one file in the engine's directory, changed under its lock only."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from prox_spark.engine.executor import Owner
from prox_spark.engine.health import is_healthy

_FILE = "engine.json"
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

    def last_lines(self) -> str:
        """The end of its log, for error messages."""
        return tail(Path(self.log))


@dataclass(frozen=True)
class Record:
    """The life of an executor's engine so far.

    Attributes:
        engine: as it was started last; None before the first start, and after it was found dead or ended on purpose.
        starts: how often it was started, whatever became of it.
        deaths: how often it died without being asked to, less those forgiven; `engine.max_restarts` limits these.
        dead: id of the engine that died last and was not replaced yet.
    """

    engine: Engine | None = None
    starts: int = 0
    deaths: int = 0
    dead: str | None = None

    @classmethod
    def load(cls, directory: Path) -> Record:
        """The record in an engine's directory; an empty one where there is none."""
        try:
            data = json.loads((directory / _FILE).read_text(encoding="utf-8"))
            return cls(
                Engine(**data["engine"]) if data["engine"] else None, data["starts"], data["deaths"], data["dead"]
            )
        except FileNotFoundError:
            return cls()

    def save(self, directory: Path) -> None:
        """Writes it, whole or not at all."""
        partial = directory / f"{_FILE}.partial"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(partial, directory / _FILE)

    def started(self, engine: Engine) -> Record:
        """With another engine."""
        return replace(self, engine=engine, starts=engine.starts, dead=None)

    def next_id(self) -> str:
        """Id of the engine to start."""
        family, _, number = (self.dead or f"{uuid.uuid4().hex[:12]}-0").partition("-")
        return f"{family}-{int(number) + 1}"

    def died(self) -> Record:
        """With one more death and no engine."""
        return replace(self, engine=None, deaths=self.deaths + 1, dead=self.engine.engine_id if self.engine else None)

    def retired(self) -> Record:
        """Without its engine, which was ended on purpose: no death."""
        return replace(self, engine=None)

    def forgiven(self, n_deaths: int) -> Record:
        """With fewer deaths."""
        return replace(self, deaths=max(0, self.deaths - n_deaths))


def records(executor: Path) -> dict[Path, Record]:
    """By directory, the engines that an executor has or had.

    Args:
        executor: see `owner_directory`.
    """
    found = {}
    for path in executor.glob(f"*/{_FILE}"):
        # Its directory goes while we look, or another version of this package wrote it.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found[path.parent] = Record.load(path.parent)
    return found


def tail(log: Path) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"(no log: {error.strerror})"
    return "\n".join(line[:400] for line in lines[-_LOG_LINES:])
