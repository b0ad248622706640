"""Whether an engine that runs works, too."""

from __future__ import annotations

import time
from pathlib import Path

from prox_spark.engine.slots.sharing import count_in_flight
from prox_spark.engine.wire.health import read_metrics
from prox_spark.engine.wire.metrics import Metrics

# So many looks in a row must find no sign of life: one alone may be late, on a host that is busy or was frozen.
_LOOKS = 5
_ANSWER_SECONDS = 5.0
# In the log of an engine that was ended for it.
HANGS = "prox_spark: the engine hangs"


class Heartbeat:
    """Notices an engine whose process lives and that does nothing while prompts wait for it.

    Its counters of tokens are looked at, and not its health check, which another thread answers than the one that steps the
    engine. The counters stand still during a step of the engine, and so does everything during a long prefill on a CPU: only much more than a step is a hang.

    An engine that has told no counters yet is never taken for hung: it starts, which has a deadline of its own, or was told
    not to count.

    Args:
        directory: of the engine.
        seconds: how long it may give no sign of life; infinite for ever.
    """

    def __init__(self, directory: Path, seconds: float) -> None:
        self._socket = str(directory / "s")
        self._slots = directory / "slots"
        self._look_seconds = seconds / _LOOKS
        self._last: Metrics | None = None
        self._n_missed = 0
        self._looked = time.monotonic()

    def is_lost(self) -> bool:
        """Does the engine hang. Looks now and then."""
        return time.monotonic() - self._looked >= self._look_seconds and self.is_lost_now()

    def is_lost_now(self) -> bool:
        """Looks at once; True when this was one look too many without a sign of life."""
        now = read_metrics(self._socket, min(_ANSWER_SECONDS, self._look_seconds))
        self._looked = time.monotonic()
        may_be_stuck = self._last is not None and (now is None or now.counted == self._last.counted)
        # By the clients' account: an engine that does not answer has none.
        self._n_missed = self._n_missed + 1 if may_be_stuck and count_in_flight(self._slots) else 0
        self._last = now or self._last
        return self._n_missed >= _LOOKS
