"""What an answer took, kept with it in `generations`: the driver can't reach the engines of a cluster, but it gets every answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What one request took.

    Attributes:
        answered_at: seconds since the epoch.
        seconds: from its last sending to its answer.
        n_sends: more than 1 where an engine died with it in flight.
        queue_seconds: of `seconds`, waiting inside the engine; None where the server does not say.
        cached_tokens: of its prompt, found in the engine's prefix cache; None where the server does not say.
    """

    answered_at: float
    seconds: float
    n_sends: int = 1
    queue_seconds: float | None = None
    cached_tokens: int | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any], sent: float, n_sends: int) -> Cost:
        """The cost of an answer that has just come.

        Args:
            content: its body, as vLLM writes it with --enable-per-request-metrics and --enable-prompt-tokens-details.
            sent: `time.monotonic()` of its last sending.
            n_sends: how often it was sent.
        """
        queued = (content.get("metrics") or {}).get("queue_time_ms")
        details = (content.get("usage") or {}).get("prompt_tokens_details") or {}
        return cls(
            answered_at=time.time(),
            seconds=time.monotonic() - sent,
            n_sends=n_sends,
            queue_seconds=None if queued is None else queued / 1000,
            cached_tokens=details.get("cached_tokens"),
        )
