"""The rubric of the document stage: from a teacher's two scores to keep or drop."""

from __future__ import annotations


def is_worth_keeping(edu: int, form: int) -> bool:
    """Keep or drop.

    Args:
        edu: educational value, 0 to 5.
        form: quality of the format, 0 to 5.

    Source: ProX (arXiv 2409.17115) §A.3; a page of middling value stays where it is well written.
    """
    return edu >= 3 or (edu == 2 and form >= 4)
