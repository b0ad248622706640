"""Where a vLLM engine's time goes, out of its own metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Source: vLLM 0.32, v1/metrics/loggers.py. Histograms: their sums and counts.
_NAMES = {
    "vllm:request_queue_time_seconds": "queue",
    "vllm:request_prefill_time_seconds": "prefill",
    "vllm:request_decode_time_seconds": "decode",
    "vllm:iteration_tokens_total": "step",
}
_SAMPLE = re.compile(rf"^({'|'.join(_NAMES)})_(sum|count)(?:\{{[^}}]*\}})? (\S+)", re.M)


@dataclass(frozen=True)
class EngineTimes:
    """Since its start.

    Attributes:
        values: by `queue sum`, `queue count` and so on: seconds and requests; of `step` tokens and steps.
    """

    values: dict[str, float]

    @classmethod
    def read(cls, text: str) -> EngineTimes:
        """Of the text of its metrics, in Prometheus' format."""
        values = {f"{name} {kind}": 0.0 for name in _NAMES.values() for kind in ("sum", "count")}
        for name, kind, value in _SAMPLE.findall(text):
            values[f"{_NAMES[name]} {kind}"] += float(value)
        return cls(values)

    def __sub__(self, other: EngineTimes) -> EngineTimes:
        return EngineTimes({name: value - other.values[name] for name, value in self.values.items()})

    @property
    def n_steps(self) -> float:
        """Passes through the model."""
        return self.values["step count"]

    def __str__(self) -> str:
        """For the terminal."""
        means = [f"{name} {self._mean(name):.3f} s" for name in _NAMES.values() if name != "step"]
        return (
            f"a request on average: {', '.join(means)}; {self.n_steps:,.0f} steps of {self._mean('step'):,.0f} tokens"
        )

    def _mean(self, name: str) -> float:
        return self.values[f"{name} sum"] / max(1.0, self.values[f"{name} count"])
