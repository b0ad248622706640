"""The compared ways: builds of this repository, and datatrove."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.dataset as ds

from common.children import ChildError, run_child
from common.inputs import Made

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "datatrove.txt"
# Where `make bench` installs datatrove.
DATATROVE_PYTHON = ROOT / ".cache" / "datatrove" / "bin" / "python"

PASSES = ("first", "unchanged")


@dataclass(frozen=True)
class Build:
    """A checkout of this repository, run in this environment.

    Attributes:
        name: name in tables.
        root: folder of the checkout.
        cores: number of Spark's task slots.
        driver_memory: heap of Spark's JVM; None for the build's default.
    """

    name: str
    root: Path
    cores: int
    driver_memory: str | None = None

    def measure(
        self, made: Made, warm: Made, passes: tuple[str, ...] = PASSES, watch: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Ingest into a new lake, and again for each further pass.

        Args:
            made: the timed input.
            warm: the input of the warm-up, in the same format.
            passes: names of the ingests.
            watch: see `run_child`.

        Returns:
            Seconds of each pass, of the JVM's start and of the warm-up; CPU seconds as NAME_cpu.

        Raises:
            ChildError: it failed, or did not ingest every document once.
        """
        with temporary_folder() as folder:
            job = {
                "root": str(self.root), "cores": self.cores, "memory": self.driver_memory, "passes": passes, "scratch": str(folder / "spark"),
                "folder": str(made.folder), "lake": str(folder / "lake"),
                "warm_folder": str(warm.folder), "warm_lake": str(folder / "warm"),
            }  # fmt: skip
            command = [sys.executable, str(HERE / "run_build.py"), json.dumps(job)]
            # The files that a killed Spark leaves behind are removed with the folder.
            options = f"{os.environ.get('JDK_JAVA_OPTIONS', '')} -Djava.io.tmpdir={folder}"
            environment = {"PYTHONPATH": str(self.root), "TMPDIR": str(folder), "JDK_JAVA_OPTIONS": options.strip()}
            measured = run_child(command, os.environ | environment, folder, watch)
        for name in passes:
            counts, kind = measured[f"{name}_counts"], "new" if name == "first" else "unchanged"
            if counts[kind] != made.n_documents:
                raise ChildError(f"{self.name}, {made.name}, {name}: {made.n_documents:,} documents, but {counts}")
        return measured


@dataclass(frozen=True)
class Datatrove:
    """datatrove's reader and its Parquet writer, one task per file.

    Attributes:
        name: name in tables.
        python: interpreter of datatrove's environment.
        workers: number of tasks that run in parallel.
    """

    name: str
    python: Path
    workers: int

    def measure(self, made: Made, warm: Made) -> dict[str, Any]:
        """Read and write all documents; no warm-up is needed.

        Returns:
            Seconds without the imports as `first`, with them as `with_import`, and CPU seconds as `first_cpu`.

        Raises:
            ChildError: it failed, or did not write every document once.
        """
        with temporary_folder() as folder:
            job = {
                "kind": made.kind, "folder": str(made.folder), "tasks": made.n_files, "workers": self.workers,
                "out": str(folder / "out"), "logs": str(folder / "logs"),
                "extract": _extractor_settings() if made.kind == "warc" else {},
            }  # fmt: skip
            command = [str(self.python), str(HERE / "run_datatrove.py"), json.dumps(job)]
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            measured = run_child(command, environment, folder)
            n_written = ds.dataset(folder / "out").count_rows()
        if n_written != made.n_documents:
            raise ChildError(f"{self.name}, {made.name}: {made.n_documents:,} documents, but {n_written:,} written")
        return measured


def find_datatrove(python: Path | None) -> tuple[Path | None, str]:
    """Return the interpreter of datatrove's environment; or None, and how to install it."""
    modules = "datatrove, psutil, orjson, warcio, cchardet, magic, pyarrow, resiliparse.extract.html2text"
    installed = [DATATROVE_PYTHON] if DATATROVE_PYTHON.exists() else []
    why = ""
    for candidate in [python] if python else [*installed, Path(sys.executable)]:
        try:
            done = subprocess.run([candidate, "-c", f"import {modules}"], capture_output=True, text=True)
        except OSError as error:
            return None, f"{candidate} can't be run: {error.strerror}"
        if not done.returncode:
            return candidate, ""
        lacking = done.stderr.strip().splitlines()[-1]
        why = f"{candidate} lacks a part of datatrove ({lacking}): pip install -r {REQUIREMENTS.relative_to(ROOT)}"
    return None, why


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Check a revision out into a temporary folder, and remove it after the block.

    Raises:
        ChildError: the revision or git is missing.
    """
    with temporary_folder() as folder:
        tree = folder / "tree"
        git = ["git", "-C", str(ROOT)]
        done = subprocess.run([*git, "worktree", "add", "--detach", tree, revision], capture_output=True, text=True)
        try:
            if done.returncode:
                raise ChildError(f"git has no {revision} to compare with ({done.stderr.strip()}): see --before")
            yield tree
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", tree], capture_output=True)
            shutil.rmtree(tree, ignore_errors=True)
            subprocess.run([*git, "worktree", "prune"], capture_output=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder, and remove it after the block."""
    with tempfile.TemporaryDirectory(prefix="prox-spark-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


def _extractor_settings() -> dict[str, bool]:
    """Return the settings with which `ingest` calls the extractor, so that datatrove extracts with the same ones."""
    from prox_spark.readers.warc import html_to_text

    with patch("resiliparse.extract.html2text.extract_plain_text", return_value="") as extract:
        html_to_text(b"<p>text</p>", "utf-8")
    return extract.call_args.kwargs
