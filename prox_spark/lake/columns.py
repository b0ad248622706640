"""Names that columns of the input can't have: illegal and reserved ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

from prox_spark import schemas
from prox_spark.errors import RecipeError

# Parquet refuses white space, these signs and control characters. Every query would have to quote the dot and the backtick.
UNFIT = re.compile(r"[ ,;{}()=.`\x00-\x1f\x7f]")
# A column of the input can't keep these names. They are our columns, those of `refined` too because it has all columns of
# `documents`, and the columns that Delta's change data feed adds.
RESERVED = frozenset(
    {*schemas.DOCUMENTS.columns, *schemas.REFINED.columns, "_change_type", "_commit_version", "_commit_timestamp"}
)


def check_partition_columns(names: Sequence[str]) -> None:
    """Check that `documents` and `refined` can be partitioned by these columns.

    Raises:
        RecipeError: a name that Delta refuses, a column of ours other than `source`, or the same column twice.
    """
    accepted = "accepted are source and columns that the input carries, by the name that documents gives them"
    seen = set[str]()
    for name in names:
        if not name or UNFIT.search(name):
            problem = f"write {UNFIT.sub('_', name)!r}, as documents names it" if name else "it is empty"
        elif name != "source" and name.lower() == "source":
            problem = "write 'source'"
        elif name != "source" and name.lower() in RESERVED:
            problem = f"it is a column of prox_spark; one of the input with this name is carried as 'input_{name}'"
        elif name.lower() in seen:
            problem = "it is named twice"
        else:
            seen.add(name.lower())
            continue
        raise RecipeError(f"lake.partition_by: can't partition by {name!r}: {problem}; {accepted}")
