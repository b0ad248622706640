"""The Spark session of the commands: tuned for a laptop in local mode, hands off on a platform that has its own."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prox_spark.config import Recipe
from prox_spark.errors import DriverLostError, ProxSparkError

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

LOG = logging.getLogger(__name__)

# The newest JAR of Delta that is built for each Spark; see README, Delta and the package.
DELTA_PACKAGES = {
    "3.5": "io.delta:delta-spark_2.12:3.3.3",
    "4.0": "io.delta:delta-spark_4.0_2.13:4.4.0",
    "4.1": "io.delta:delta-spark_4.1_2.13:4.4.0",
    "4.2": "io.delta:delta-spark_4.2_2.13:4.4.0",
}
_PACKAGES = "spark.jars.packages"
_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
_JAVA_OPTIONS = "spark.driver.defaultJavaOptions"
# A JVM that is told of two collectors does not start.
_COLLECTOR = re.compile(r"-XX:\+Use\w+GC\b")
# Where a user may have named one, beside Spark's settings.
_JVM_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
# Delta reads its snapshots and Spark shuffles with 50 and 200 tasks by default: 10 s a commit on two cores.
_LAPTOP = {
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    # The programs of a wave are sent to the texts, not the texts shuffled to the programs.
    "spark.sql.autoBroadcastJoinThreshold": "64m",
    "spark.ui.enabled": "false",
    # Every query writes its plan out for that page: in the default mode, a tenth of the driver's time over a small lake.
    "spark.sql.ui.explainMode": "simple",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    # Texts come and go by the megabyte: the collector that is made for throughput takes half of G1's time. The second compiler
    # takes a core for minutes, and gives little back: the loops over texts are Python's and Arrow's. Without it the JVM reserves
    # 48 MB for compiled code, which Spark fills within half a minute: then nothing more is compiled, and all runs slower and slower.
    _JAVA_OPTIONS: "-XX:+UseParallelGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m",
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=file:{Path(__file__).parent / 'log4j2.properties'}",
}


@contextmanager
def spark_session(recipe: Recipe) -> Iterator[SparkSession]:
    """The session for a recipe; stopped at the end unless it was there before (notebooks, Databricks).

    Yields:
        A session with Delta. Under spark-submit, settings given there win.

    Raises:
        DriverLostError: the JVM ended before the block did.
    """
    from pyspark.sql import SparkSession

    already = SparkSession.getActiveSession()
    spark = already or build_session(recipe)
    try:
        yield spark
    except Exception as error:
        if _is_gone(spark):  # whatever call of it was under way, and however py4j put it
            raise DriverLostError(
                "the JVM of the Spark driver is gone: killed, or out of memory (spark.driver.memory). What the run had committed "
                "is kept: start it again and it pays for the rest only"
            ) from error
        raise
    finally:
        if already is None and not _is_gone(spark):
            spark.stop()


def _is_gone(spark: SparkSession) -> bool:
    """Does nobody listen where the JVM does."""
    gateway = spark.sparkContext._gateway.gateway_parameters
    try:
        socket.create_connection((gateway.address, gateway.port), timeout=5).close()
    except OSError:
        return True
    return False


def build_session(recipe: Recipe) -> SparkSession:
    """Makes (or gets) the session. Adds Delta only where the class path has none."""
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    # Under spark-submit the JVM runs, and this is what its command line and spark-defaults.conf said. Elsewhere there is no
    # JVM yet and it is empty: spark-defaults.conf then fills in only what is not set below, and master is. On a platform
    # with a master and defaults of its own, use spark-submit.
    given = SparkConf()
    master = given.get("spark.master") or recipe.spark.master
    settings = {"spark.sql.extensions": _EXTENSION, "spark.sql.catalog.spark_catalog": _CATALOG}
    if master.startswith("local"):
        # The workers' interpreter; the `python3` of the path need not be this environment's.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        settings |= laptop_settings(recipe)
    settings |= recipe.spark.conf
    if not _has_delta(given):
        if "PYSPARK_GATEWAY_PORT" in os.environ:  # the JVM runs already: it is too late to add a package
            raise ProxSparkError(
                f"spark-submit has no Delta on its class path: add `--packages {delta_package()}`, or run "
                "`python -m prox_spark.session` once, which puts the JARs into this environment's own Spark"
            )
        named = settings.get(_PACKAGES, "")  # the recipe's own, such as a connector of a store
        if "delta" not in named:
            settings[_PACKAGES] = ",".join(filter(None, (named, delta_package())))
    builder = SparkSession.builder.appName(f"prox_spark {recipe.name}").master(master)
    for key, value in settings.items():
        if given.get(key) is None:
            builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def laptop_settings(recipe: Recipe) -> dict[str, str]:
    """Spark's settings in local mode, those of `recipe.spark.conf` left out."""
    named = [recipe.spark.conf.get("spark.driver.extraJavaOptions", ""), *map(os.environ.get, _JVM_VARIABLES)]
    java_options = _LAPTOP[_JAVA_OPTIONS]
    if any(_COLLECTOR.search(options or "") for options in named):
        java_options = _COLLECTOR.sub("", java_options).strip()
    return _LAPTOP | {"spark.driver.memory": recipe.spark.driver_memory, _JAVA_OPTIONS: java_options}


def delta_package() -> str:
    """Maven coordinates of the Delta JAR for the installed pyspark."""
    import pyspark

    minor = ".".join(pyspark.__version__.split(".")[:2])
    return DELTA_PACKAGES.get(minor, DELTA_PACKAGES["4.1"])


def _has_delta(given: SparkConf) -> bool:
    """Is Delta on the class path without our doing: on Databricks, EMR, or by spark-submit --packages/--jars."""
    settings = ("spark.jars", _PACKAGES, "spark.driver.extraClassPath")
    named = " ".join(str(given.get(key) or "") for key in settings)
    return "delta" in named or "DATABRICKS_RUNTIME_VERSION" in os.environ or any(_used_jars().glob("*delta-spark*.jar"))


def _used_jars() -> Path:
    """The JARs that a session would run with."""
    home = os.environ.get("SPARK_HOME")
    return Path(home) / "jars" if home else _own_jars()


def _own_jars() -> Path:
    """The JARs of this environment's pyspark."""
    import pyspark

    return Path(pyspark.__file__).parent / "jars"


def install_delta() -> None:
    """Puts the Delta JARs into this environment's Spark, once, so that spark-submit and later starts need no network.

    A Spark elsewhere, named by SPARK_HOME, is left as it is. Spark's own package resolution fetches the JARs from Maven
    Central; what else Delta depends on is part of Spark.
    """
    with tempfile.TemporaryDirectory() as store:
        conf = {_PACKAGES: delta_package(), "spark.jars.ivy": store}
        build_session(Recipe.parse({"spark": {"conf": conf}})).stop()
        for group in ("io.delta", "io.unitycatalog"):
            for jar in (Path(store) / "jars").glob(f"{group}_*.jar"):
                shutil.copy(jar, _own_jars())


if __name__ == "__main__":
    os.environ.pop("SPARK_HOME", None)
    if not any(_own_jars().glob("*delta-spark*.jar")):
        install_delta()
