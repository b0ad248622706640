"""Errors of the store that holds a lake, as messages that say what to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prox_spark.errors import LakeError, comes_from_spark, root_cause
from prox_spark.places import is_uri

# What Hadoop says, and what it means.
_HINTS: Final = {
    "S3AFileSystem not found": "add org.apache.hadoop:hadoop-aws of Spark's own Hadoop version to spark.jars.packages",
    'No FileSystem for scheme "s3"': "write s3a://, or set spark.hadoop.fs.s3.impl to org.apache.hadoop.fs.s3a.S3AFileSystem",
    "No FileSystem for scheme": "add the connector of that store to spark.jars.packages",
}
_ANY: Final = "`prox-spark doctor` shows credentials, endpoint and connector"


@contextmanager
def naming_store(place: str) -> Iterator[None]:
    """Name the place in errors that its store raises during the block.

    Raises:
        LakeError: the store can't be reached, or refuses.
    """
    try:
        yield
    except Exception as error:  # py4j and pyspark wrap errors of Java in several ways.
        if not is_uri(place) or not comes_from_spark(error):
            raise
        cause = root_cause(error)
        hint = next((hint for words, hint in _HINTS.items() if words in cause), _ANY)
        raise LakeError(f"can't reach {place}: {cause}. {hint[0].upper()}{hint[1:]}.") from error
