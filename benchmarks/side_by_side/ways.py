"""The compared ways, each a process in an environment of its own."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.children import ChildError, run_child
from common.ways import ROOT, temporary_folder

from prox_spark.config import Recipe
from side_by_side.jobs import environment_of
from side_by_side.refinement import documents
from side_by_side.tree import Tree

HERE = Path(__file__).parent
# `make bench` installs the environments here.
PEERS = ROOT / ".cache" / "peers"


@dataclass(frozen=True)
class Way:
    """A way to refine documents.

    Attributes:
        name: name in tables.
        script: script in this folder.
        peer: name of its environment below .cache/peers; None for this one.
        at_least: bar of our documents per second divided by its own; None without a bar.
    """

    name: str
    script: str
    peer: str | None = None
    at_least: float | None = None

    @property
    def python(self) -> Path:
        """Interpreter of its environment."""
        return PEERS / self.peer / "bin" / "python" if self.peer else Path(sys.executable)

    def missing(self) -> str:
        """Return the missing part and how to install it; empty if nothing is missing."""
        if self.python.exists():
            return ""
        return f"{self.peer} is not installed: make .cache/peers/{self.peer}/installed"


@dataclass(frozen=True)
class Measured:
    """One run of a way.

    Attributes:
        seconds: seconds of work on documents, with all engines ready and warm.
        start_seconds: the other seconds until the last document was written.
        peak_bytes: peak memory of all its processes together.
        outcomes: status and text by document.
        versions: versions of its packages.
        parts: seconds by part of the work; empty if the way does not report them.
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
    """Run a way once.

    Raises:
        ChildError: it failed, or documents are missing in its results.
    """
    # A short name: Ray puts sockets below this folder.
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
    """Return the last line of the log of a way that names an error."""
    with contextlib.suppress(OSError):
        lines = (folder / "log").read_text(errors="replace").splitlines()
        errors = [line for line in lines if "Error" in line and not line.startswith("\tat ")]
        return errors[-1].strip()[:300] if errors else ""
    return ""
