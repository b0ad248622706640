"""Detection of engines that are alive but produce no tokens while prompts wait."""

from __future__ import annotations

import time
from pathlib import Path

from prox_spark.engine.slots.sharing import count_in_flight
from prox_spark.engine.wire.health import read_metrics
from prox_spark.engine.wire.metrics import Metrics

# Looks in a row without a sign of life before an engine is lost. A single look may be late on a busy or frozen host.
_LOOKS = 5
_ANSWER_SECONDS = 5.0
# Text in the log of an engine that was ended because it hung.
HANGS = "prox_spark: the engine hangs"


class Heartbeat:
    """Detector of an engine whose process lives and that does nothing while prompts wait for it.

    It reads the engine's counters. The health check would not do, because it is answered by another thread than the one
    that steps the engine. The counters stand still during a step, and on a CPU so does everything during a long
    prefill. So only a time much longer than a step is a hang.

    An engine that has reported no counters yet never counts as hung: it is starting, which has its own deadline, or it
    was told not to count.

    Args:
        directory: directory of the engine.
        seconds: longest time without a sign of life; infinite for no limit.
    """

    def __init__(self, directory: Path, seconds: float) -> None:
        self._socket = str(directory / "s")
        self._slots = directory / "slots"
        self._look_seconds = seconds / _LOOKS
        self._last: Metrics | None = None
        self._n_missed = 0
        self._looked = time.monotonic()

    def is_lost(self) -> bool:
        """Return True if the engine hangs. Look only now and then."""
        return time.monotonic() - self._looked >= self._look_seconds and self.is_lost_now()

    def is_lost_now(self) -> bool:
        """Look at once and return True if there were too many looks without a sign of life."""
        now = read_metrics(self._socket, min(_ANSWER_SECONDS, self._look_seconds))
        self._looked = time.monotonic()
        may_be_stuck = self._last is not None and (now is None or now.counters == self._last.counters)
        # Count by the clients' state, because an engine that does not answer reports nothing.
        self._n_missed = self._n_missed + 1 if may_be_stuck and count_in_flight(self._slots) else 0
        self._last = now or self._last
        return self._n_missed >= _LOOKS
