"""The Spark session of the commands: tuned for a laptop in local mode, left as it is on a platform that has its own."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prox_spark.config import Recipe
from prox_spark.errors import ConnectError, DriverLostError, ProxSparkError, find_condition, first_line
from prox_spark.lake.log_store import name_jar
from prox_spark.packages import read_version
from prox_spark.secret_settings import start_jvm_without_secrets
from prox_spark.spark_driver import is_connect, is_local_master

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

LOG = logging.getLogger(__name__)

# The newest JAR of Delta that is built for each Spark; see docs/how-to/gpus-and-clusters.md, section Delta.
DELTA_PACKAGES = {
    "3.5": "io.delta:delta-spark_2.12:3.3.3",
    "4.0": "io.delta:delta-spark_4.0_2.13:4.4.0",
    "4.1": "io.delta:delta-spark_4.1_2.13:4.4.0",
    "4.2": "io.delta:delta-spark_4.2_2.13:4.4.0",
}
_PACKAGES = "spark.jars.packages"
_CLASS_PATH = "spark.driver.extraClassPath"
_OF_DELTA = re.compile(r"\bdelta-(?:spark|core)")
# Spark's own variable with the URL of a server of Spark Connect, and the port that such a URL need not name.
_REMOTE = "SPARK_REMOTE"
_CONNECT_PORT = 15002
_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
_JAVA_OPTIONS = "spark.driver.defaultJavaOptions"
# A JVM with options for two collectors does not start.
_COLLECTOR = re.compile(r"-XX:\+Use\w+GC\b")
# Where a user may have chosen one, besides Spark's settings.
_JVM_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
# Delta reads its snapshots and Spark shuffles with 50 and 200 tasks by default: 10 s a commit on two cores.
_LAPTOP = {
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    # With this limit Spark sends the programs of a wave to the texts instead of shuffling the texts to the programs.
    "spark.sql.autoBroadcastJoinThreshold": "64m",
    "spark.ui.enabled": "false",
    # Every query writes out its plan for that page. In the default mode this takes a tenth of the driver's time over a small lake.
    "spark.sql.ui.explainMode": "simple",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    # Texts come and go by the megabyte: the collector made for throughput takes half of G1's time. The second compiler takes a
    # core for minutes and gives little back, because the loops over texts are Python's and Arrow's. Without it the JVM reserves
    # 48 MB for compiled code. Spark fills these within half a minute; then nothing more is compiled and everything slows down.
    _JAVA_OPTIONS: "-XX:+UseParallelGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m",
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=file:{Path(__file__).parent / 'log4j2.properties'}",
}


@contextmanager
def spark_session(recipe: Recipe) -> Iterator[SparkSession]:
    """Yield the session for a recipe, and stop it at the end unless it existed before (notebooks, Databricks).

    Yields:
        A session with Delta. Under spark-submit, settings given there win.

    Raises:
        DriverLostError: the JVM or the server of Spark Connect ended before the block did.
        ConnectError: the server of Spark Connect can't be reached.
        ProxSparkError: this Spark is too old, or no build of Delta is known for it.
    """
    _check_version()
    existing = find_session()
    is_ours = existing is None and not _has_context()
    spark = existing or (connect_session(recipe) if is_to_connect() else build_session(recipe))
    try:
        yield spark
    except Exception as error:
        if _is_gone(spark):  # Whatever call was under way, and however py4j reports it.
            raise DriverLostError(
                f"{_name_driver(spark)} is gone: killed, or out of memory (spark.driver.memory). What the run had committed "
                "is kept: start it again and it pays for the rest only"
            ) from error
        raise
    finally:
        if is_ours and not _is_gone(spark):
            spark.stop()


def _check_version() -> None:
    """Raise an error if this Spark is older than any that is known, and log a warning if it is unknown."""
    import pyspark

    version = read_version(pyspark.__version__)
    known = [read_version(minor) for minor in DELTA_PACKAGES]
    if version < min(known):
        raise ProxSparkError(f"Spark {pyspark.__version__} is too old: use Spark {', '.join(DELTA_PACKAGES)}")
    if version not in known:
        LOG.warning(
            "warning: Spark %s has not been tried, only Spark %s", pyspark.__version__, ", ".join(DELTA_PACKAGES)
        )


def find_session() -> SparkSession | None:
    """Return the session of this process, classic or of Spark Connect, whichever thread made it; None if there is none."""
    if is_to_connect():
        return _find_connect_session()
    from pyspark.sql import SparkSession

    found = SparkSession.getActiveSession()
    # Another thread of a notebook has no active session, but the process has one. A builder without settings changes none.
    if found is None and _has_context() and SparkSession._instantiatedSession is not None:
        found = SparkSession.builder.getOrCreate()
    return found


def _has_context() -> bool:
    if is_to_connect():
        return False
    from pyspark import SparkContext

    return SparkContext._active_spark_context is not None


def is_to_connect() -> bool:
    """Return True if this process uses Spark Connect, by Spark's own rules or the environment."""
    from pyspark.sql.utils import is_remote

    return is_remote() or _REMOTE in os.environ


def _find_connect_session() -> SparkSession | None:
    from prox_spark.spark_versions import VERSION

    if VERSION < (4, 0):
        raise ConnectError(
            "Spark Connect of Spark 3.5 has no Arrow tables and no progress: use Spark 4.0 or later (on Databricks a runtime from 17 on), or a "
            "classic session (a cluster in dedicated access mode)"
        )
    try:
        from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise ConnectError(
            f"Spark Connect needs more packages: pip install 'pyspark[connect]' ({first_line(error)})"
        ) from error
    # A thread without a session has the process's own.
    return SparkSession.getActiveSession() or SparkSession._get_default_session()


def connect_session(recipe: Recipe) -> SparkSession:
    """Make a session on the server of Spark Connect that the environment names, with the settings of the recipe that it takes.

    Raises:
        ConnectError: the environment names no server, or nothing answers there.
    """
    from pyspark.sql import SparkSession

    url = os.environ.get(_REMOTE, "")
    builder = SparkSession.builder
    for key, value in recipe.spark.conf.items():
        builder = builder.config(key, value)
    try:
        if url.startswith("sc://") and not _answers(place := _find_place(url)):
            raise ConnectError(
                f"no server of Spark Connect answers at {place[0]}:{place[1]}: start it, or correct {_REMOTE}"
            )
        return builder.getOrCreate()
    except ValueError:
        # What is wrong is not shown: the URL may hold a token.
        raise ConnectError(
            f"{_REMOTE} is no URL of Spark Connect: write sc://HOST:PORT, or sc://HOST:PORT/;NAME=VALUE;…"
        ) from None


def _find_place(url: str) -> tuple[str, int]:
    """Return host and port of a URL of Spark Connect. Raise ValueError if its port is no number."""
    parts = urlsplit(url.partition(";")[0])
    return parts.hostname or "localhost", parts.port or _CONNECT_PORT


def _answers(place: tuple[str, int]) -> bool:
    """Return True if something listens at a host and port."""
    try:
        socket.create_connection(place, timeout=5).close()
    except OSError:
        return False
    return True


def _is_gone(spark: SparkSession) -> bool:
    """Return True if nothing listens any more on the port of the JVM, or of the server of Spark Connect."""
    if is_connect(spark):
        url = os.environ.get(_REMOTE, "")  # What a platform connects by is its own.
        return url.startswith("sc://") and not _answers(_find_place(url))
    gateway = spark.sparkContext._gateway.gateway_parameters
    return not _answers((gateway.address, gateway.port))


def _name_driver(spark: SparkSession) -> str:
    return "the server of Spark Connect" if is_connect(spark) else "the JVM of the Spark driver"


@contextmanager
def _naming_java() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if find_condition(error) != "JAVA_GATEWAY_EXITED":
            raise
        raise ProxSparkError(
            "Spark's JVM did not start; what it said is above. Install Java 17 and set JAVA_HOME to it "
            f"(now {os.environ.get('JAVA_HOME') or 'not set'}), or correct the options for Java. `prox-spark doctor` looks at Java"
        ) from error


@_naming_java()
def build_session(recipe: Recipe) -> SparkSession:
    """Make a session, or set up the one that exists. Delta is added only where the class path lacks it.

    Raises:
        ProxSparkError: the JVM did not start, spark-submit was started without Delta, or no build of Delta is known for this Spark.
    """
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    # Under spark-submit the JVM runs already, and `given` holds what its command line and spark-defaults.conf said. Elsewhere
    # there is no JVM yet and it is empty: spark-defaults.conf then fills in only what is not set below, and the master is set.
    # On a platform with a master and defaults of its own, use spark-submit.
    is_submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if is_submitted:
        # pyspark connects to that JVM when it makes a context, and until then its SparkConf is empty.
        SparkContext._ensure_initialized()
    given = SparkConf()
    master = given.get("spark.master") or recipe.spark.master
    is_local = is_local_master(master)
    settings = {"spark.sql.extensions": _EXTENSION, "spark.sql.catalog.spark_catalog": _CATALOG}
    if is_local:
        # The workers' interpreter; the `python3` of the path need not be this environment's.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        settings |= make_laptop_settings(recipe)
    settings |= recipe.spark.conf
    if not _has_delta(given):
        if is_submitted:  # It is too late to add a package to a JVM that runs.
            raise ProxSparkError(
                f"spark-submit has no Delta on its class path: add `--packages {find_delta_package()}`, or run "
                "`python -m prox_spark.session` once, which puts the JARs into this environment's own Spark"
            )
        if not _names_delta(settings):
            # After the recipe's own, such as a connector of a store.
            settings[_PACKAGES] = ",".join(filter(None, (settings.get(_PACKAGES), find_delta_package())))
    if not is_submitted:
        settings |= name_jar(settings)
        start_jvm_without_secrets(settings, master)
    builder = SparkSession.builder.appName(f"prox_spark {recipe.name}").master(master)
    for key, value in settings.items():
        if given.get(key) is None:
            builder = builder.config(key, value)
    exists = SparkContext._active_spark_context is not None
    spark = builder.getOrCreate()
    if is_local and not (exists or is_submitted):
        # Elsewhere the log is the platform's or the user's.
        spark.sparkContext.setLogLevel("ERROR")
    return spark


def make_laptop_settings(recipe: Recipe) -> dict[str, str]:
    """Return Spark's settings in local mode, without those of `recipe.spark.conf`."""
    named = [recipe.spark.conf.get("spark.driver.extraJavaOptions", ""), *map(os.environ.get, _JVM_VARIABLES)]
    java_options = _LAPTOP[_JAVA_OPTIONS]
    if any(_COLLECTOR.search(options or "") for options in named):
        java_options = _COLLECTOR.sub("", java_options).strip()
    return _LAPTOP | {"spark.driver.memory": recipe.spark.driver_memory, _JAVA_OPTIONS: java_options}


def find_delta_package() -> str:
    """Return the Maven coordinates of the Delta JAR for the installed pyspark.

    Raises:
        ProxSparkError: no build of Delta is known for it.
    """
    import pyspark

    minor = ".".join(map(str, read_version(pyspark.__version__)))
    if minor not in DELTA_PACKAGES:
        raise ProxSparkError(
            f"no build of Delta is known for pyspark {pyspark.__version__}; there are builds for Spark {', '.join(DELTA_PACKAGES)}. "
            f"Install a pyspark for one of these, or name a package yourself: spark.conf.{_PACKAGES} of the recipe, or --packages of "
            "spark-submit"
        )
    return DELTA_PACKAGES[minor]


def _has_delta(given: SparkConf) -> bool:
    """Return True if Delta is on the class path without our doing: on Databricks, on EMR, or by --packages or --jars."""
    is_there = "DATABRICKS_RUNTIME_VERSION" in os.environ or any(_find_jars().glob("*delta-spark*.jar"))
    return is_there or _names_delta(given)


def _names_delta(settings: SparkConf | Mapping[str, str]) -> bool:
    """Return True if settings put Delta on the class path."""
    # Delta has other packages, such as delta-storage-s3-dynamodb; files have any names.
    is_package = _OF_DELTA.search(str(settings.get(_PACKAGES) or ""))
    return bool(is_package) or any("delta" in str(settings.get(key) or "") for key in ("spark.jars", _CLASS_PATH))


def _find_jars() -> Path:
    """Return the folder of the JARs that a session would run with."""
    home = os.environ.get("SPARK_HOME")
    return Path(home) / "jars" if home else _find_own_jars()


def _find_own_jars() -> Path:
    """Return the folder of the JARs of this environment's pyspark."""
    import pyspark

    return Path(pyspark.__file__).parent / "jars"


def install_delta() -> None:
    """Put the Delta JARs into this environment's Spark, once, so that spark-submit and later starts need no network.

    A Spark elsewhere, named by SPARK_HOME, is left as it is. Spark's own package resolution fetches the JARs from Maven
    Central. Delta's other dependencies are part of Spark.
    """
    with tempfile.TemporaryDirectory() as store:
        conf = {_PACKAGES: find_delta_package(), "spark.jars.ivy": store}
        build_session(Recipe.parse({"spark": {"conf": conf}})).stop()
        for group in ("io.delta", "io.unitycatalog"):
            for jar in (Path(store) / "jars").glob(f"{group}_*.jar"):
                shutil.copy(jar, _find_own_jars())


if __name__ == "__main__":
    os.environ.pop("SPARK_HOME", None)
    if not any(_find_own_jars().glob("*delta-spark*.jar")):
        install_delta()
