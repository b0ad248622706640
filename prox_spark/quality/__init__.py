"""The quality of refiners: figures against labels, baselines, and the self-test before a run. No Spark, no model."""
