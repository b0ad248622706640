"""Labels: texts and what should come of them, for training refiners and for judging them. Pure Python."""

from prox_spark.labels.files import read_labels, read_operations, write_labels
from prox_spark.labels.label import Label, removed_lines, removed_range, removing
from prox_spark.labels.rubric import is_worth_keeping, verdict_doubt

__all__ = [
    "Label",
    "is_worth_keeping",
    "read_labels",
    "read_operations",
    "removed_lines",
    "removed_range",
    "removing",
    "verdict_doubt",
    "write_labels",
]
