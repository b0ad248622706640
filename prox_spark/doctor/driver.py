"""Checks of this machine that need no Spark session: versions, packages, refiners."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from typing import Final

from prox_spark.config import Recipe
from prox_spark.doctor.checks import Check, fail, ok, warn
from prox_spark.errors import ProxSparkError
from prox_spark.packages import find_versions, read_version
from prox_spark.refiners import find
from prox_spark.refiners.build import is_built
from prox_spark.session import DELTA_PACKAGES, find_session, is_to_connect

_PYTHONS: Final = ((3, 11), (3, 13))
_LEAST_ARROW: Final = (15, 0)
_LEAST_JAVA: Final = {"3.5": 8}
_JAVA_SECONDS: Final = 60


def examine_driver(recipe: Recipe) -> Iterator[Check]:
    """Check what is installed where the driver runs.

    Args:
        recipe: its refiners are looked for.
    """
    yield _examine_python()
    yield from _examine_spark()
    yield from _examine_arrow()
    for name in dict.fromkeys((recipe.refiners.doc, recipe.refiners.chunk)):
        yield _examine_refiner(name)


def _examine_python() -> Check:
    found, (low, high) = platform.python_version(), _PYTHONS
    if low <= read_version(found) <= high:
        return ok("Python", found)
    return fail("Python", found, "use Python 3.11, 3.12 or 3.13 for driver and executors")


def _examine_spark() -> Iterator[Check]:
    spark = _find_spark()
    if not spark:
        yield fail(
            "Spark", "no pyspark is installed", "pip install 'prox-spark[spark]', or run under the platform's Spark"
        )
        return
    minor = ".".join(spark.split(".")[:2])
    known = ", ".join(DELTA_PACKAGES)
    if minor in DELTA_PACKAGES:
        yield ok("Spark", spark)
    elif read_version(spark) < min(map(read_version, DELTA_PACKAGES)):
        yield fail("Spark", spark, f"use Spark {known}")
    else:
        yield warn("Spark", f"{spark}, which has not been tried", f"use Spark {known}, or give this one its Delta")
    if is_to_connect():  # The server has these.
        return
    if not _has_jvm():
        yield _examine_java(minor)
    yield _examine_delta(minor, find_versions(("delta-spark",)).get("delta-spark"))


def _find_spark() -> str | None:
    """Return the version of the Spark that would run; None if there is none. A platform's own is on the path without being installed."""
    try:
        import pyspark
    except ImportError:
        return None
    return str(pyspark.__version__)


def _has_jvm() -> bool:
    """Return True if Spark's JVM runs already: by spark-submit, or because a notebook or platform has a session."""
    return "PYSPARK_GATEWAY_PORT" in os.environ or find_session() is not None


def _examine_java(minor: str) -> Check:
    program = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else "java"
    least = _LEAST_JAVA.get(minor, 17)
    change = f"install Java {max(least, 17)} and set JAVA_HOME to it"
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=_JAVA_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return fail("Java", f"{program} can't be run: {error}", change)
    match = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    if not match:
        return fail("Java", f"{program} tells no version", change)
    major, minor_version = (*read_version(match[1]), 0)[:2]
    major = minor_version if major == 1 else major  # Java 8 calls itself 1.8.
    return ok("Java", match[1]) if major >= least else fail("Java", f"{match[1]} at {program}", change)


def _examine_delta(minor: str, installed: str | None) -> Check:
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return ok("Delta package", "the platform's own")
    wanted = DELTA_PACKAGES.get(minor, "").rpartition(":")[2]
    if not installed and _has_module("delta.tables"):
        return ok("Delta package", "the platform's own")
    if not installed:
        return fail("Delta package", "no delta-spark is installed", f"pip install delta-spark=={wanted or '4.4.0'}")
    if installed == wanted or not wanted:
        return ok("Delta package", installed)
    return warn("Delta package", f"{installed}, for Spark {minor}", f"pip install delta-spark=={wanted}, as its JAR")


def _has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # Its package is not there either.
        return False


def _examine_arrow() -> Iterator[Check]:
    versions = find_versions(("pyarrow", "pandas"))
    arrow, pandas = versions.get("pyarrow", ""), versions.get("pandas", "")
    is_new_enough = read_version(arrow) >= _LEAST_ARROW
    yield ok("Arrow", arrow) if is_new_enough else fail("Arrow", arrow or "not installed", "pip install 'pyarrow>=15'")
    fits = (2, 2) <= read_version(pandas) < (3, 0)
    yield ok("pandas", pandas) if fits else fail("pandas", pandas or "not installed", "pip install 'pandas>=2.2,<3'")


def _examine_refiner(name: str) -> Check:
    try:
        refiner = find(name)
        if is_built(refiner):
            return ok("refiner", f"{name}, built")
    except ProxSparkError as error:
        return fail("refiner", str(error), "name another in refiners.doc and refiners.chunk")
    return warn(
        "refiner",
        f"{name}, not built on this machine",
        f"`prox-spark refiners build {name}`; else the first run does it",
    )
