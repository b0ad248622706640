"""Watches running Spark queries, and reports the progress of generation stages."""
