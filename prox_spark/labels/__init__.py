"""Labels: texts and what should come of them, for training refiners and for judging them. Pure Python."""

from prox_spark.labels.files import read_labels, read_operations, write_labels
from prox_spark.labels.label import Label, clip_removal, find_removed_lines, make_removals
from prox_spark.labels.rubric import estimate_verdict_doubt, is_worth_keeping

__all__ = [
    "Label",
    "is_worth_keeping",
    "read_labels",
    "read_operations",
    "find_removed_lines",
    "clip_removal",
    "make_removals",
    "estimate_verdict_doubt",
    "write_labels",
]
