"""prox_spark: ProX document refinement (arXiv 2409.17115) as a Spark data-lake job."""

__version__ = "0.1.0"
