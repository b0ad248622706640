"""All checks of a recipe, in the order in which a run would stumble."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prox_spark.config import Recipe
from prox_spark.doctor.checks import Check, Status, fail, ok
from prox_spark.doctor.driver import examine_driver
from prox_spark.errors import ProxSparkError, root_cause
from prox_spark.hadoop_logins import adopt_hadoop_logins, find_bucket
from prox_spark.logins import AWS_CHAIN, S3Login, hide_secrets
from prox_spark.session import spark_session
from prox_spark.spark_driver import is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG = logging.getLogger(__name__)


def examine(recipe: Recipe) -> list[Check]:
    """Check all that a run with this recipe needs. Nothing is changed, and nothing is left behind.

    Args:
        recipe: its lake, inputs, refiners, engine and session are looked at.

    Returns:
        The checks, without those that need what another found missing.
    """
    checks = list(examine_driver(recipe))
    if any(check.status is Status.FAILURE and check.name in ("Spark", "Java") for check in checks):
        return checks
    LOG.info("doctor: starting Spark")
    has_started = False
    try:
        with spark_session(recipe) as spark:
            checks.append(ok("Spark session", _describe(spark)))
            has_started = True
            checks.extend(_examine_session(spark, recipe))  # One by one, so that those before a failure are kept.
    except Exception as error:  # Whatever keeps Spark from its start, or ends a check.
        is_named = isinstance(error, ProxSparkError)
        found = hide_secrets(str(error) if is_named else root_cause(error))
        change = "see the message" if is_named or has_started else "correct spark.master and spark.conf"
        if has_started:
            checks.append(fail("other checks", f"the checks ended early: {found}", change))
        else:
            checks.append(fail("Spark session", found if is_named else f"Spark does not start: {found}", change))
    return checks


def _describe(spark: SparkSession) -> str:
    if is_connect(spark):
        return f"Spark Connect, Spark {spark.version}"
    return f"{spark.sparkContext.master}, Spark {spark.version}, Delta on the class path"


def _examine_session(spark: SparkSession, recipe: Recipe) -> Iterator[Check]:
    # These import pyspark. A doctor that does so at its start could not say that it is missing.
    from prox_spark.doctor.executor import examine_executor
    from prox_spark.doctor.lake import examine_lake

    LOG.info("doctor: looking at the lake and the inputs")
    yield from _examine_credentials(spark, [recipe.lake.root or "", *recipe.input.paths])
    yield from examine_lake(spark, recipe.lake)
    if recipe.input.paths:
        yield _examine_inputs(spark, recipe)
    LOG.info("doctor: looking at an executor")
    yield from examine_executor(spark, recipe)


def _examine_credentials(spark: SparkSession, paths: list[str]) -> Iterator[Check]:
    """Tell the kind of credentials for each bucket, never their values."""
    buckets = {bucket: path for path in paths if (bucket := find_bucket(path))}
    for bucket, path in buckets.items():
        try:
            found = adopt_hadoop_logins(spark, [path])
        except ProxSparkError as error:
            yield fail(f"credentials, {bucket}", str(error), "correct the settings fs.s3a.*")
            continue
        yield ok(f"credentials, {bucket}", _describe_login(found.get(bucket)))


def _describe_login(login: S3Login | None) -> str:
    if login is None:
        return AWS_CHAIN
    place = f"{login.scheme}://{login.endpoint}" if login.endpoint else "AWS"
    return f"{login.source}; endpoint {place}" + (f", region {login.region}" if login.region else "")


def _examine_inputs(spark: SparkSession, recipe: Recipe) -> Check:
    from prox_spark.pipeline.inputs.find import find_inputs_of

    try:
        found = find_inputs_of(spark, recipe.input)
    except ProxSparkError as error:
        return fail("inputs", hide_secrets(str(error)), "correct the paths or their rights")
    n_files = len(found.files) + sum(len(table.files) for table in found.tables)
    tables = sum(not table.files for table in found.tables)
    return ok("inputs", f"{n_files:,} files" + (f", {tables} tables" if tables else ""))
