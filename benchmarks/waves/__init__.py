"""Refine runs with a FAKE engine that answers at once, so that only Spark, Delta and our own code take time."""
