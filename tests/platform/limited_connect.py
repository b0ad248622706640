"""`prox-spark` as a client of Spark Connect under what Databricks documents of serverless compute: few settings, no kept frames.

Usage: python limited_connect.py COMMAND ARGUMENT…
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from pyspark.errors import AnalysisException
from pyspark.sql.connect.conf import RuntimeConf
from pyspark.sql.connect.dataframe import DataFrame

from prox_spark import cli

# https://docs.databricks.com/aws/en/spark/conf, section on serverless compute
ALLOWED = {
    "spark.databricks.execution.timeout",
    "spark.sql.ansi.enabled",
    "spark.sql.legacy.timeParserPolicy",
    "spark.sql.session.timeZone",
    "spark.sql.shuffle.partitions",
}
REFUSED = set[str]()


def limit(method: str) -> None:
    """Have the session's settings refuse a method for all others."""
    original = getattr(RuntimeConf, method)

    def call_if_allowed(self: RuntimeConf, key: str, *values: Any) -> Any:
        # What pyspark asks for its own needs, a platform answers.
        is_ours = sys._getframe(1).f_globals["__name__"].startswith("prox_spark.")
        if is_ours and key not in ALLOWED:
            REFUSED.add(key)
            raise AnalysisException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available. SQLSTATE: 42K0I")
        return original(self, key, *values)

    setattr(RuntimeConf, method, call_if_allowed)


def refuse_to_persist(self: DataFrame, *_: Any) -> NoReturn:
    REFUSED.add("persist")
    raise AnalysisException("[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported on serverless compute.")


for name in ("get", "set", "unset"):
    limit(name)
DataFrame.persist = DataFrame.cache = refuse_to_persist
status = cli.main(sys.argv[1:])
print("refused:", *sorted(REFUSED), file=sys.stderr)
sys.exit(status)
