"""Delta's log store of a lake: what makes commits of several drivers at once safe, and whether it does on S3."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prox_spark.config import LakeConfig
from prox_spark.errors import LakeError
from prox_spark.logins import S3_SCHEMES, refuse_keys
from prox_spark.places import split_bucket
from prox_spark.spark_driver import find_class, is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG = logging.getLogger(__name__)

S3_LOG_STORE: Final = "prox_spark.S3ConditionalLogStore"
LOG_STORE_JAR: Final = Path(__file__).parent / "s3_log_store" / "prox-spark-log-store.jar"
_EVERY: Final = "spark.delta.logStore.class"
_DEFAULT: Final = "io.delta.storage.S3SingleDriverLogStore"
# Delta's own for S3, and stores that are as safe as the store's or file system's own operations, which S3A does not make safe.
_OF_ONE_DRIVER: Final = ("S3SingleDriverLogStore", "HDFSLogStore", "AzureLogStore", "GCSLogStore", "LocalLogStore")


@dataclass(frozen=True)
class LogStore:
    """The log store by which Delta commits to a place.

    Attributes:
        name: its class.
        setting: the setting that chooses it, when Spark starts.
        is_safe: False if commits of two drivers at once may lose rows.
    """

    name: str
    setting: str
    is_safe: bool


def find_log_store(spark: SparkSession, root: str) -> LogStore | None:
    """Return the log store of a lake on S3; None for other places, whose default is safe, and where the platform commits.

    Args:
        spark: the session.
        root: path or URI of the lake.

    Raises:
        LakeError: its class is not on the class path, so that each commit would fail.
        RecipeError: the root holds keys.
    """
    from pyspark.errors import PySparkException

    scheme, bucket = split_bucket(root)
    if scheme not in S3_SCHEMES:
        return None
    refuse_keys(bucket)
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:  # It has a service of its own for commits on S3.
        return None
    own = f"spark.delta.logStore.{scheme}.impl"
    # Delta reads them as they were when Spark started; a session takes another value later, and Delta does not see it.
    conf = spark.conf if is_connect(spark) else spark.sparkContext.getConf()
    try:
        named = {setting: name for setting in (own, _EVERY) if (name := conf.get(setting, None))}
    except PySparkException:  # Serverless compute of Databricks shows some settings only.
        return None
    setting, name = next(iter(named.items()), (own, _DEFAULT))
    if not is_connect(spark) and find_class(spark, name) is None:
        jar = LOG_STORE_JAR if name == S3_LOG_STORE else "its JAR"
        raise LakeError(f"{setting} names {name}, which is not on the class path: add `--jars {jar}` to spark-submit")
    return LogStore(name, setting, name.rpartition(".")[2] not in _OF_ONE_DRIVER)


def locate_lake(spark: SparkSession, config: LakeConfig) -> str:
    """Return where a lake lies: its root, or the place of its documents in a catalog; empty if the catalog does not tell.

    Args:
        spark: the session.
        config: root or catalog.
    """
    from pyspark.errors import PySparkException

    from prox_spark.schemas import DOCUMENTS

    if config.root or not config.catalog:
        return config.root or ""
    try:
        rows = spark.sql(f"DESCRIBE TABLE EXTENDED {config.catalog}.{DOCUMENTS.name}").collect()
    except PySparkException:  # There is no such table yet, or it may not be described.
        return ""
    # The last one: a column of the table may have this name, too.
    return {row["col_name"]: str(row["data_type"]) for row in rows}.get("Location", "")


def warn_of_log_store(spark: SparkSession, config: LakeConfig) -> None:
    """Log a warning if the lake loses rows when two drivers commit to it at once.

    Args:
        spark: the session.
        config: root or catalog of a lake with its tables.

    Raises:
        LakeError: as `find_log_store`.
    """
    root = locate_lake(spark, config)
    store = find_log_store(spark, root)
    if store and not store.is_safe:
        LOG.warning(
            "warning: %s keeps commits safe for one driver only. Run no other job that writes to %s at the same time, or set %s: %s when "
            "Spark starts",
            store.name.rpartition(".")[2],
            root,
            store.setting,
            S3_LOG_STORE,
        )


def name_jar(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the setting that puts our log store on the class path, if the settings name it; else none."""
    if S3_LOG_STORE not in settings.values():
        return {}
    named = settings.get("spark.jars", "")
    return {"spark.jars": ",".join(filter(None, (named, str(LOG_STORE_JAR))))}
