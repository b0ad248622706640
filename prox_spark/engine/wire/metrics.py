"""An engine's metrics, as it tells them on its socket, and what they came to since somebody began to look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

# Source: vLLM 0.32, v1/metrics/loggers.py; the Prometheus client adds _total to the names of counters. And two of our server's.
_FIELDS = {
    "vllm:request_success_total": "answered",
    "prox_spark:requests_refused_total": "refused",
    "vllm:prompt_tokens_total": "tokens",
    "vllm:generation_tokens_total": "tokens",
    "vllm:prefix_cache_hits_total": "cached_tokens",
    "vllm:prefix_cache_queries_total": "cacheable_tokens",
    "prox_spark:requests_in_flight": "in_flight",
}
_SAMPLE = re.compile(rf"^({'|'.join(_FIELDS)})(?:\{{[^}}]*\}})? (\S+)", re.M)


@dataclass(frozen=True)
class Metrics:
    """Of an engine since its start, or of several.

    Attributes:
        answered: requests.
        refused: requests that vLLM did not take.
        tokens: of prompts and answers.
        cached_tokens, cacheable_tokens: prompt tokens found in the prefix cache, of how many looked for.
        in_flight: requests decoded and held back now.
    """

    answered: float = 0.0
    tokens: float = 0.0
    cached_tokens: float = 0.0
    cacheable_tokens: float = 0.0
    in_flight: float = 0.0
    refused: float = 0.0

    @classmethod
    def read(cls, text: str) -> Metrics | None:
        """Of the text at /metrics; samples that differ in their labels are added up. None of an engine that was told not to count."""
        values = dict.fromkeys(_FIELDS.values(), 0.0)
        samples = _SAMPLE.findall(text)
        if not any(name.startswith("vllm:") for name, _ in samples):
            return None
        for name, value in samples:
            values[_FIELDS[name]] += float(value)
        return cls(**values)

    @property
    def counted(self) -> Metrics:
        """What an engine that hangs has no more of; those who ask it may go, and others come."""
        return replace(self, in_flight=0.0)

    def __add__(self, other: Metrics) -> Metrics:
        return Metrics(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Metrics) -> Metrics:
        return Metrics(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


class Growth:
    """What engines have done since it was made, through their deaths and restarts.

    Args:
        engines: metrics by engine id, as they were at the beginning.

    Attributes:
        total: since the beginning; requests in flight are those of now.
    """

    def __init__(self, engines: Mapping[str, Metrics]) -> None:
        self._last = dict(engines)
        self.total = Metrics(in_flight=sum(metrics.in_flight for metrics in engines.values()))

    def update(self, engines: Mapping[str, Metrics]) -> Metrics:
        """What was added since the last look."""
        added = sum((now - self._last.get(name, Metrics()) for name, now in engines.items()), Metrics())
        # Of a dead engine nothing is in flight any more; what it has done stays.
        gone = sum((Metrics(in_flight=m.in_flight) for name, m in self._last.items() if name not in engines), Metrics())
        self.total = self.total + added - gone
        self._last = dict(engines)
        return added
