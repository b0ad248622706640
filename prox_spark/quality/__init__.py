"""How good refiners are: figures against labels, baselines beside them, and the test before a run. No Spark, no model."""
