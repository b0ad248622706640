"""The ways that are compared, each a process of its own in its own environment."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from door.children import ChildError, run_child
from door.ways import ROOT, temporary_folder

from prox_spark.config import Recipe
from side_by_side.jobs import environment_of
from side_by_side.refinement import documents
from side_by_side.tree import Tree

HERE = Path(__file__).parent
# Where `make bench` installs what has an environment of its own.
PEERS = ROOT / ".cache" / "peers"


@dataclass(frozen=True)
class Way:
    """How documents are refined.

    Attributes:
        name: for the table.
        script: in this folder.
        peer: the environment that it runs in, below .cache/peers; None for this one.
        at_least: ours must have so many times its documents per second; None without a bar.
    """

    name: str
    script: str
    peer: str | None = None
    at_least: float | None = None

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return PEERS / self.peer / "bin" / "python" if self.peer else Path(sys.executable)

    def missing(self) -> str:
        """What is missing to run it, and what to do; empty where nothing is."""
        if self.python.exists():
            return ""
        return f"{self.peer} is not installed: make .cache/peers/{self.peer}/installed"


@dataclass(frozen=True)
class Measured:
    """One run of a way.

    Attributes:
        seconds: at work on documents, all engines up and warm.
        start_seconds: what went by beside that until the last document was written.
        peak_bytes: of all its processes together.
        outcomes: by document: status and text.
        versions: of what it runs on.
        parts: seconds of parts of the work, where it tells them.
    """

    seconds: float
    start_seconds: float
    peak_bytes: int
    outcomes: dict[str, tuple[str, str]]
    versions: dict[str, str]
    parts: dict[str, float]


OURS, PLAIN = "prox_spark", "plain LLM"
WAYS = {
    "plain": Way(PLAIN, "plain.py", at_least=0.97),
    "ours": Way(OURS, "ours.py"),
    "datatrove": Way("datatrove", "run_datatrove.py", "datatrove", 1.1),
    "ray": Way("Ray Data LLM", "run_ray.py", "ray", 1.1),
    "authors": Way("authors' two steps", "authors.py", at_least=1.5),
}


def measure(way: Way, job: dict[str, Any], recipe: Recipe) -> Measured:
    """Runs a way once.

    Raises:
        ChildError: it failed, or not every document came out.
    """
    # A short name: Ray's sockets lie below it.
    with temporary_folder() as folder:
        out = folder / "out"
        out.mkdir()
        environment = environment_of(recipe, ROOT, way.python, folder, binds=way.name != OURS)
        tree = Tree()
        command = [str(way.python), str(HERE / way.script), json.dumps(job | {"out": str(out)})]
        launched = time.time()
        try:
            printed = run_child(command, environment | tree.mark, folder, tree)
        except ChildError as error:
            raise ChildError(f"{error}\n{_cause(folder)}".strip()) from None
        finally:
            tree.end()
        outcomes = {row["id"]: (row["status"], row["text"]) for row in documents(out / "outcomes.jsonl")}
    wanted = len(documents(job["documents"]))
    if len(outcomes) != wanted:
        raise ChildError(f"{way.name}: {wanted:,} documents, but {len(outcomes):,} outcomes")
    spans = printed["spans"]
    seconds = sum(ended - begun for begun, ended in spans)
    whole = spans[-1][1] - launched
    return Measured(seconds, whole - seconds, tree.peak_bytes, outcomes, printed["versions"], printed.get("parts", {}))


def _cause(folder: Path) -> str:
    """The last error in the log of a way: what stands below it are the errors that it led to."""
    with contextlib.suppress(OSError):
        lines = (folder / "log").read_text(errors="replace").splitlines()
        errors = [line for line in lines if "Error" in line and not line.startswith("\tat ")]
        return errors[-1].strip()[:300] if errors else ""
    return ""
