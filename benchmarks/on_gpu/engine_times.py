"""Times of a vLLM engine, read from its metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Source: vLLM 0.32, v1/metrics/loggers.py. All are histograms, with a sum and a count.
_NAMES = {
    "vllm:request_queue_time_seconds": "queue",
    "vllm:request_prefill_time_seconds": "prefill",
    "vllm:request_decode_time_seconds": "decode",
    "vllm:iteration_tokens_total": "step",
}
_SAMPLE = re.compile(rf"^({'|'.join(_NAMES)})_(sum|count)(?:\{{[^}}]*\}})? (\S+)", re.M)


@dataclass(frozen=True)
class EngineTimes:
    """Sums and counts of an engine since its start.

    Attributes:
        values: by `queue sum`, `queue count` and so on: seconds and requests; for `step` tokens and steps.
    """

    values: dict[str, float]

    @classmethod
    def read(cls, text: str) -> EngineTimes:
        """Read the times from metrics in Prometheus' text format."""
        values = {f"{name} {kind}": 0.0 for name in _NAMES.values() for kind in ("sum", "count")}
        for name, kind, value in _SAMPLE.findall(text):
            values[f"{_NAMES[name]} {kind}"] += float(value)
        return cls(values)

    def __sub__(self, other: EngineTimes) -> EngineTimes:
        return EngineTimes({name: value - other.values[name] for name, value in self.values.items()})

    @property
    def n_steps(self) -> float:
        """Number of passes through the model."""
        return self.values["step count"]

    def __str__(self) -> str:
        """Describe the mean times in one line."""
        means = [f"{name} {self._mean(name):.3f} s" for name in _NAMES.values() if name != "step"]
        return (
            f"a request on average: {', '.join(means)}; {self.n_steps:,.0f} steps of {self._mean('step'):,.0f} tokens"
        )

    def _mean(self, name: str) -> float:
        return self.values[f"{name} sum"] / max(1.0, self.values[f"{name} count"])
