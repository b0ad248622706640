"""Refine runs with a FAKE engine that answers at once: what is left is Spark, Delta and our own code."""
