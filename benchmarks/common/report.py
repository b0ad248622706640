"""Tables of the figures: seconds, ratios and their bars."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any, TypedDict


class Results(TypedDict):
    """All figures: `speed` by format, with a list of rounds for each way; `memory` by size of input."""

    speed: dict[str, dict[str, Any]]
    memory: list[dict[str, Any]]


@dataclass(frozen=True)
class Ratio:
    """A ratio of seconds: one pass of this build, divided by a pass of another way.

    Attributes:
        pass_name: pass of this build, the numerator.
        over: prefix of the other way's name, the denominator: the same pass of a build, else the pass `first`.
        at_most: the bar by format; formats without one are not judged.
    """

    pass_name: str
    over: str
    at_most: dict[str, float]


THIS, BEFORE, DATATROVE = "this build", "before", "datatrove, 2 workers"
RATIOS = (
    Ratio("first", DATATROVE, {"jsonl.gz": 2.0, "jsonl.gz-1": 2.0, "warc.gz": 1.2}),
    Ratio("unchanged", DATATROVE, {"jsonl.gz": 1.0, "jsonl.gz-1": 1.0}),
    # At least twice as fast.
    Ratio("first", BEFORE, {"parquet": 0.5}),
    Ratio("unchanged", BEFORE, {}),
)
# Bar of a worker's peak memory: that for the large input divided by that for the small one.
FLAT = 1.10


def print_speed(results: Results, size: float) -> None:
    """Print the seconds of each way, then the ratios. Missing measurements are left out."""
    for found in results["speed"].values():
        ways = {name: rounds for name, rounds in found["ways"].items() if rounds}
        if not ways and not found["failed"]:
            continue
        print(f"\n{found['input']}\n  {'medians, s':<22}{'first':>9}{'CPU':>9}{'unchanged':>11}{'CPU':>9}  apart")
        for name, rounds in ways.items():
            first, first_cpu, again, again_cpu = (
                _cell(rounds, key) for key in ("first", "first_cpu", "unchanged", "unchanged_cpu")
            )
            print(f"  {name:<22}{first:>9}{first_cpu:>9}{again:>11}{again_cpu:>9}  {_apart(rounds)}")
        for name, message in found["failed"].items():
            print(f"  {name:<22}failed: {message.splitlines()[-1]}")
    lines = [line for name, found in results["speed"].items() for line in _ratios(name, found["ways"])]
    if lines:
        print(f"\n  {'ratio of medians':<46}{'of s':>7}{'of CPU':>8}  bar")
        print("\n".join(lines))
    if size != 1:
        print(f"\nThe bars are those of the full size; this was {size:g} of it.")
    busy = [one["others"] for found in results["speed"].values() for rounds in found["ways"].values() for one in rounds]
    if busy:
        print(f"Other processes took {median(busy):.1f} cores meanwhile (median; {max(busy):.1f} at most).")


def print_memory(results: Results) -> None:
    """Print the peaks of the Python workers, and their ratio."""
    if not results["memory"]:
        return
    print("\nPeak memory of a Python worker, JSONL.gz in one file")
    for one in results["memory"]:
        print(f"  {one['plain_bytes'] / 1e6:>8,.0f} MB plain  {one['peak_bytes'] / 2**20:>8,.0f} MiB")
    if len(results["memory"]) == 2:
        small, large = (one["peak_bytes"] for one in results["memory"])
        print(f"  ratio {large / small:.2f}  {_verdict(large / small, FLAT)}")


def _ratios(name: str, ways: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = []
    for ratio in RATIOS:
        other = next((way for way in ways if way.startswith(ratio.over)), None)
        if other is None or not ways[other] or not ways.get(THIS):
            continue
        below = ratio.pass_name if ratio.over == BEFORE else "first"
        seconds, cpu = (
            _median(ways[THIS], ratio.pass_name + suffix) / _median(ways[other], below + suffix)
            for suffix in ("", "_cpu")
        )
        bar = _verdict(seconds, ratio.at_most[name]) if name in ratio.at_most else ""
        lines.append(f"  {name:<11}{ratio.pass_name:>10} ÷ {other:<22}{seconds:>7.2f}{cpu:>8.2f}  {bar}".rstrip())
    return lines


def _verdict(ratio: float, at_most: float) -> str:
    return f"at most {at_most:.2f}: {'held' if ratio <= at_most else 'NOT held'}"


def _cell(rounds: list[dict[str, Any]], key: str) -> str:
    return f"{_median(rounds, key):.1f}" if key in rounds[0] else ""


def _apart(rounds: list[dict[str, Any]]) -> str:
    names = {"jvm": "JVM's start", "warm_up": "warming up", "with_import": "with imports"}
    return ", ".join(f"{name} {_median(rounds, key):.1f}" for key, name in names.items() if key in rounds[0])


def _median(rounds: list[dict[str, Any]], key: str) -> float:
    return median(one[key] for one in rounds)
