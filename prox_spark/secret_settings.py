"""Spark's settings that hold secrets, kept off the command line of the JVM, which every user of the machine can read."""

from __future__ import annotations

from collections.abc import Mapping

from prox_spark.config.redaction import is_secret


def start_jvm_without_secrets(settings: Mapping[str, str], master: str) -> None:
    """Start the JVM with the other settings, if there are secret ones and it does not run yet.

    pyspark passes all settings of a builder on the JVM's command line, unless the JVM is there already. Then they travel by py4j
    into its memory.

    Args:
        settings: of the session that is to be made.
        master: of that session.
    """
    from pyspark import SparkConf, SparkContext

    if SparkContext._gateway is not None or not any(map(is_secret, settings)):
        return
    shown = {name: value for name, value in settings.items() if not is_secret(name)}
    SparkContext._ensure_initialized(conf=SparkConf().setAll([*shown.items(), ("spark.master", master)]))
