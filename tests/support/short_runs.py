"""Spark for runs of a minute over a few rows: there, compiling plans and code for a long life is most of the work."""

# More than half of the CPU time of such a run is the JVM's compilers and Catalyst's code generation.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m"

# Also for jobs that must be planned and compiled as they are in production.
FEW_PARTITIONS = {"spark.sql.shuffle.partitions": "2", "spark.databricks.delta.snapshotPartitions": "2"}

UNCOMPILED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}

# Delta keeps the log of each table that was opened, some megabytes of plans with it, for 10,000 tables or an hour: the heap of a
# session that sees the lakes of hundreds of tests would be full.
FEW_TABLES = {"spark.databricks.delta.delta.log.cacheSize": "50"}
