"""The rubric of the document stage: a teacher's two scores decide between keep and drop."""

from __future__ import annotations

import math
from itertools import product


def is_worth_keeping(edu: int, form: int) -> bool:
    """Return True if a document with these scores is kept.

    Args:
        edu: educational value, 0 to 5.
        form: quality of the format, 0 to 5.

    Source: ProX (arXiv 2409.17115) §A.3; a page of middling value stays if it is well written.
    """
    return edu >= 3 or (edu == 2 and form >= 4)


def estimate_verdict_doubt(edu: int, form: int, noise: float) -> float:
    """Return the probability that a second scoring would lead to the other verdict.

    Args:
        edu: educational value, 0 to 5.
        form: quality of the format, 0 to 5.
        noise: probability that a score is off by one, up or down with equal chance; the two scores are independent.
    """
    spread = {-1: noise / 2, 0: 1 - noise, 1: noise / 2}
    verdict = is_worth_keeping(edu, form)
    return math.fsum(
        spread[more_edu] * spread[more_form]
        for more_edu, more_form in product(spread, spread)
        if is_worth_keeping(edu + more_edu, form + more_form) != verdict
    )
