"""Threads beside the caller's that Spark takes for the caller's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from pyspark.util import inheritable_thread_target

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def inherit_thread_settings(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Work with what the caller's thread has set for its jobs, such as how a notebook cancels them; to be called once.

    Each has a copy of its own: Spark keeps there what a query is called, and more, while it runs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Spark 4 would like its session, which 3.5 does not take
        return cast(Callable[Arguments, Result], inheritable_thread_target(work))
