"""The doctor: checks of all that a run needs, before a run needs it."""

from prox_spark.doctor.checks import Check, Status
from prox_spark.doctor.examine import examine

__all__ = ["Check", "Status", "examine"]
