"""Metrics that an engine reports on its socket, and their growth since an observer began to look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

# Source: vLLM 0.32, v1/metrics/loggers.py; the Prometheus client adds _total to the names of counters. Two are our
# server's own.
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
    """Metrics of an engine since its start, or of several engines.

    Attributes:
        answered: number of answered requests.
        refused: number of requests that vLLM did not take.
        tokens: number of tokens of prompts and answers.
        cached_tokens, cacheable_tokens: prompt tokens found in the prefix cache, and prompt tokens looked up there.
        in_flight: requests that the engine decodes or holds back now.
    """

    answered: float = 0.0
    tokens: float = 0.0
    cached_tokens: float = 0.0
    cacheable_tokens: float = 0.0
    in_flight: float = 0.0
    refused: float = 0.0

    @classmethod
    def read(cls, text: str) -> Metrics | None:
        """Read the text at /metrics and add up samples that differ only in labels.

        None for an engine that was told not to count.
        """
        values = dict.fromkeys(_FIELDS.values(), 0.0)
        samples = _SAMPLE.findall(text)
        if not any(name.startswith("vllm:") for name, _ in samples):
            return None
        for name, value in samples:
            values[_FIELDS[name]] += float(value)
        return cls(**values)

    @property
    def counters(self) -> Metrics:
        """The counters that only a working engine advances (without `in_flight`, which clients change)."""
        return replace(self, in_flight=0.0)

    def __add__(self, other: Metrics) -> Metrics:
        return Metrics(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Metrics) -> Metrics:
        return Metrics(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


class Growth:
    """Growth of engines' metrics since this object was made, across deaths and restarts of engines.

    Args:
        engines: metrics by engine id at the beginning.

    Attributes:
        total: growth since the beginning; `in_flight` is the present number.
    """

    def __init__(self, engines: Mapping[str, Metrics]) -> None:
        self._last = dict(engines)
        self.total = Metrics(in_flight=sum(metrics.in_flight for metrics in engines.values()))

    def update(self, engines: Mapping[str, Metrics]) -> Metrics:
        """Take the present metrics by engine id and return their growth since the last update."""
        added = sum((now - self._last.get(name, Metrics()) for name, now in engines.items()), Metrics())
        # A dead engine has nothing in flight any more. Its counters still count.
        gone = sum((Metrics(in_flight=m.in_flight) for name, m in self._last.items() if name not in engines), Metrics())
        self.total = self.total + added - gone
        self._last = dict(engines)
        return added
