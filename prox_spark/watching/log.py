"""What prox_spark logs while it runs, on stderr."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext


@contextmanager
def progress_on_stderr() -> Iterator[None]:
    """Show what prox_spark logs, to the person at the terminal or in the job's log. Other loggers stay as they are."""
    logger = logging.getLogger("prox_spark")
    level, propagate = logger.level, logger.propagate
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("  %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # A platform's root handler would print it again.
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def progress_unless_logged() -> Iterator[None]:
    """Show progress as `progress_on_stderr` does, unless the caller has set up logging."""
    with nullcontext() if logging.getLogger("prox_spark").hasHandlers() else progress_on_stderr():
        yield
