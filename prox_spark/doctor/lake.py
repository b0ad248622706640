"""Checks of the lake: credentials, connector, reading, writing and the log store. Nothing is left behind."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from prox_spark.config import LakeConfig
from prox_spark.config.redaction import redact
from prox_spark.doctor.checks import Check, fail, ok, warn
from prox_spark.errors import LakeError, ProxSparkError, first_line, root_cause
from prox_spark.hadoop_logins import find_bucket
from prox_spark.lake.lake import Lake
from prox_spark.lake.log_store import S3_LOG_STORE, LogStore, find_log_store, locate_lake
from prox_spark.logins import hide_secrets
from prox_spark.places import absolute, split_bucket
from prox_spark.spark_driver import find_class, is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CONDITIONAL: Final = "fs.option.create.conditional.overwrite"
# A doctor does not wait for minutes, as a run does.
_IMPATIENT: Final = {
    "fs.s3a.attempts.maximum": "1",
    "fs.s3a.retry.limit": "1",
    "fs.s3a.connection.establish.timeout": "5s",
}


def examine_lake(spark: SparkSession, config: LakeConfig) -> Iterator[Check]:
    """Check that the lake can be reached, read and written, and that commits of several drivers are safe.

    Args:
        spark: a session with Delta.
        config: root or catalog; without either there is one check that says so.
    """
    if not (config.root or config.catalog):
        yield warn("lake", "none is named", "give --lake ROOT or --catalog NAME.SCHEMA")
        return
    if config.root and not is_connect(spark):
        place = absolute(config.root)
        if find_bucket(place):
            yield _examine_connector(spark)
        store = _Store(spark, place)
        try:
            yield from store.examine()
        finally:
            store.close()
        if not store.is_reached:
            return
    yield _examine_tables(spark, config)
    if config.catalog or is_connect(spark):
        yield from _examine_log_store(spark, config)


def _examine_log_store(spark: SparkSession, config: LakeConfig) -> Iterator[Check]:
    """Judge the log store by its name. A catalog or server may have credentials of its own, so that nothing is written from here."""
    place = locate_lake(spark, config)
    if not place:
        return
    try:
        yield judge_log_store(find_log_store(spark, place), lambda: True)
    except LakeError as error:
        yield fail("log store", str(error), "see the message")


def _examine_tables(spark: SparkSession, config: LakeConfig) -> Check:
    try:
        lake = Lake(spark, config)
        tables = [table for table in ("documents", "generations", "refined", "runs") if lake.exists(table)]
        for table in tables:
            lake.version(table)
    except Exception as error:  # An error of ours, of Spark or of Java.
        found = first_line(error) if isinstance(error, ProxSparkError) else root_cause(error)
        return fail("lake tables", _hide(found), "correct the lake's place, its rights or its catalog")
    return ok("lake tables", ", ".join(tables) or "none yet: ingest makes them")


def _examine_connector(spark: SparkSession) -> Check:
    """Check that hadoop-aws is there and of the version of Spark's own Hadoop."""
    hadoop = str(spark._jvm.org.apache.hadoop.util.VersionInfo.getVersion())
    found = find_class(spark, "org.apache.hadoop.fs.s3a.S3AFileSystem")
    if found is None:
        change = f"add org.apache.hadoop:hadoop-aws:{hadoop} to spark.jars.packages"
        return fail("S3 connector", "no hadoop-aws on the class path", change)
    source = found.getProtectionDomain().getCodeSource()
    match = re.search(r"hadoop-aws-([\d.]+\d)", str(source.getLocation()) if source is not None else "")
    if match and match[1] != hadoop:
        change = f"use org.apache.hadoop:hadoop-aws:{hadoop}"
        return fail("S3 connector", f"hadoop-aws {match[1]} beside Hadoop {hadoop}", change)
    return ok("S3 connector", f"hadoop-aws {match[1]}" if match else "the platform's own")


class _Store:
    """The file system that holds a lake, opened apart from those of the session."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.is_reached = False
        self._spark = spark
        self._root = root
        self._scheme = split_bucket(root)[0]
        self._store: Any = None
        settings = spark._jsparkSession.sessionState().newHadoopConf()
        for name, value in _IMPATIENT.items():
            settings.set(name, value)
        self._settings = settings

    def examine(self) -> Iterator[Check]:
        jvm = self._spark._jvm
        try:
            # A path without a scheme is one of the default file system, which on a cluster is not this machine's.
            place = self._path(self._root).toUri()
            self._store = jvm.org.apache.hadoop.fs.FileSystem.newInstance(place, self._settings)
            is_there = bool(self._store.exists(self._path(self._root)))
            self.is_reached = True
        except Exception as error:  # An error of Java.
            yield fail("lake", f"{self._root} can't be reached: {_hide(root_cause(error))}", self._advise())
            return
        yield ok("lake", f"{self._root} is there" if is_there else f"{self._root} is not there yet, its store answers")
        yield from self._examine_writing()

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _path(self, place: str) -> Any:
        return self._spark._jvm.org.apache.hadoop.fs.Path(place)

    def _advise(self) -> str:
        if self._scheme == "s3":
            return "write s3a://, or set spark.hadoop.fs.s3.impl=org.apache.hadoop.fs.s3a.S3AFileSystem; check credentials, endpoint"
        return "check the place, the credentials and the endpoint" if self._scheme else "check the path and its rights"

    def _examine_writing(self) -> Iterator[Check]:
        """Write a small file and remove it. It lies in a folder that exists, but on S3 in the lake: rights there often end with it."""
        made: list[Any] = []
        try:
            *missing, folder = self._list_missing()
            if find_bucket(self._root):
                folder, made = self._path(self._root), missing
            place = self._path(f"{str(folder.toString()).rstrip('/')}/_prox_spark_doctor_{uuid.uuid4().hex}")
            made = [place, *made]
            self._store.create(place, False).close()
            yield ok("lake, writing", f"a file was written to {folder.toString()} and removed")
            yield judge_log_store(find_log_store(self._spark, self._root), lambda: self._refuses(place))
        except LakeError as error:
            yield fail("log store", str(error), "see the message")
        except Exception as error:  # An error of Java.
            yield fail("lake, writing", _hide(root_cause(error)), f"give the right to write and delete at {self._root}")
        finally:
            # S3A keeps the folder of a file that was deleted, each time one level higher.
            for each in made:
                self._remove(each)

    def _list_missing(self) -> list[Any]:
        """Return the folders of the lake that are not there, from its own upwards, and the first that is."""
        found = [self._path(self._root)]
        while not self._store.exists(found[-1]) and found[-1].getParent() is not None:
            found.append(found[-1].getParent())
        return found

    def _remove(self, place: Any) -> None:
        """Remove a file or an empty folder."""
        try:
            self._store.delete(place, False)
        except Exception:  # It was not written, which was reported, or somebody uses the folder now.
            return

    def _refuses(self, existing: Any) -> bool:
        """Return True if the store refuses to write a file that is there, when it is asked to."""
        if not self._store.hasPathCapability(existing, _CONDITIONAL):
            return False
        builder = self._store.createFile(existing).create().overwrite(True)
        builder.must(_CONDITIONAL, True)
        try:
            builder.build().close()
        except Exception:  # RemoteFileChangedException of hadoop-aws
            return True
        return False


def judge_log_store(found: LogStore | None, refuses: Callable[[], bool]) -> Check:
    """Tell whether commits of several drivers are safe.

    Args:
        found: the log store of the lake; None where that of the file system or the platform is safe.
        refuses: returns True if the store refuses to write what is there already.
    """
    if found is None:
        return ok("log store", "safe for several drivers, by the file system or the platform")
    name = found.name.rpartition(".")[2]
    if not found.is_safe:
        known = f"{name}, which keeps commits safe for one driver only"
        return warn("log store", known, f"let one job write at a time, or set {found.setting}: {S3_LOG_STORE}")
    if found.name == S3_LOG_STORE and not refuses():
        known = f"{name}, and this store or hadoop-aws knows no conditional writes"
        return fail("log store", known, f"unset {found.setting} and let one job write at a time")
    return ok("log store", f"{name}, safe for several drivers")


def _hide(text: str) -> str:
    return hide_secrets(str(redact(text)))
