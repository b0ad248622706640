"""Labels: texts and the results they should have, for training and evaluating refiners. Pure Python."""

from prox_spark.labels.files import read_labels, read_operations, write_labels
from prox_spark.labels.label import Label, clip_removal, find_removed_lines, make_removals
from prox_spark.labels.rubric import estimate_verdict_doubt, is_worth_keeping

__all__ = [
    "Label",
    "clip_removal",
    "estimate_verdict_doubt",
    "find_removed_lines",
    "is_worth_keeping",
    "make_removals",
    "read_labels",
    "read_operations",
    "write_labels",
]
