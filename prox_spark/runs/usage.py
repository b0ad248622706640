"""The work of the engines for a stage of a wave, summed up from their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AnswerSums:
    """Sums over the answers of one engine in a wave and stage, which Spark computes.

    Attributes:
        engine_id: FAMILY-NUMBER of the engine, see Engine; None for a remote one.
        prompts, errors: number of rows, and of rows with an error code.
        prompt_tokens, output_tokens: sums over all rows.
        begun, ended: time of the first request and of the last answer, in seconds since the epoch; None if nothing was sent.
        request_seconds: sum of the times from request to answer.
        queue_seconds, queued: sum of the waiting times inside the engine, and number of requests that reported one.
        cached_tokens, cacheable_tokens: prompt tokens that were in the prefix cache, and all prompt tokens of the requests
            that reported this.
        resent: number of times that a request was sent again.
    """

    engine_id: str | None
    prompts: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    begun: float | None = None
    ended: float | None = None
    request_seconds: float = 0.0
    queue_seconds: float = 0.0
    queued: int = 0
    cached_tokens: int = 0
    cacheable_tokens: int = 0
    resent: int = 0


@dataclass(frozen=True)
class EngineWave:
    """A row of `runs.engine_waves`. `schemas.ENGINE_WAVE` describes its fields."""

    wave: int
    stage: str
    prompts: int
    errors: int
    prompt_tokens: int
    output_tokens: int
    seconds: float
    tokens_per_second: float | None
    in_flight: float | None
    window_occupancy: float | None
    queue_seconds: float | None
    prefix_cache_hit_rate: float | None
    engines: int
    starts: int
    restarts: int
    resent: int

    @classmethod
    def of(
        cls, wave: int, stage: str, answers: Sequence[AnswerSums], before: Mapping[str, int], window_size: int
    ) -> EngineWave:
        """Sum up the answers of all engines.

        Args:
            wave: number of the wave.
            stage: as in `generations`.
            answers: sums of each engine.
            before: result of `find_last_engines` for the answers before this wave.
            window_size: number of requests that an executor keeps in flight.
        """

        def total(name: str) -> int:
            return sum(getattr(sums, name) for sums in answers)

        engines = {sums.engine_id for sums in answers if sums.engine_id}
        last = find_last_engines(engines)
        # A slot may have its answers from an engine whose successor has answered before this wave.
        starts = sum(max(0, number - before.get(family, 0)) for family, number in last.items())
        spans = find_spans(answers)
        seconds = max(end for _, end in spans) - min(begin for begin, _ in spans) if spans else 0.0
        in_flight = _divide(sum(sums.request_seconds for sums in answers), seconds)
        windows = len(last) * window_size
        return cls(
            wave=wave,
            stage=stage,
            prompts=total("prompts"),
            errors=total("errors"),
            prompt_tokens=total("prompt_tokens"),
            output_tokens=total("output_tokens"),
            seconds=seconds,
            tokens_per_second=_divide(total("prompt_tokens") + total("output_tokens"), seconds),
            in_flight=in_flight,
            window_occupancy=None if in_flight is None else _divide(in_flight, windows),
            queue_seconds=_divide(total("queue_seconds"), total("queued")),
            prefix_cache_hit_rate=_divide(total("cached_tokens"), total("cacheable_tokens")),
            engines=len(engines),
            starts=starts,
            restarts=starts - len(last.keys() - before.keys()),  # The first of a family replaces no other.
            resent=total("resent"),
        )

    def __str__(self) -> str:
        """Return a line for the terminal, without figures that are unknown or zero."""
        parts = [f"{self.prompts:,} prompts in {self.seconds:,.0f} s"]
        if self.tokens_per_second is not None:
            parts.append(f"{self.tokens_per_second:,.0f} tokens/s")
        if self.window_occupancy is not None:
            parts.append(f"window {self.window_occupancy:.0%} full")
        if self.queue_seconds is not None:
            parts.append(f"queue {self.queue_seconds:.1f} s")
        if self.prefix_cache_hit_rate is not None:
            parts.append(f"prefix cache {self.prefix_cache_hit_rate:.0%}")
        parts += [f"{n:,} {name}" for name, n in (("errors", self.errors), ("restarts", self.restarts)) if n]
        if self.resent:
            parts.append(f"{self.resent:,} resent")
        return ", ".join(parts)


def find_last_engines(engine_ids: Iterable[str]) -> dict[str, int]:
    """Return the highest number of an engine in each family, see `Engine.engine_id`.

    Example:
        >>> find_last_engines(["a-1", "b-1", "a-3"])
        {'a': 3, 'b': 1}
    """
    last: dict[str, int] = {}
    for engine_id in engine_ids:
        family, _, number = engine_id.partition("-")
        last[family] = max(last.get(family, 0), int(number))
    return last


def find_spans(answers: Iterable[AnswerSums]) -> list[tuple[float, float]]:
    """Return the times between which engines had prompts, for those that got any."""
    return [(sums.begun, sums.ended) for sums in answers if sums.begun is not None and sums.ended is not None]


def measure_union(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of spans.

    Example:
        >>> measure_union([(4.0, 5.0), (0.0, 2.0), (1.0, 3.0)])
        4.0
    """
    length, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        length += max(0.0, end - max(begin, until))
        until = max(until, end)
    return length


def _divide(part: float, whole: float) -> float | None:
    return part / whole if whole else None
