"""Table of the figures: documents per second, memory, and ratios with their bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from side_by_side.ways import OURS, PLAIN, WAYS, Measured


def print_report(rounds: dict[str, list[Measured]], not_run: dict[str, str], n_documents: int) -> None:
    """Print the medians of each way, their ratios to ours, and the ways that did not run.

    Args:
        rounds: rounds by name of the way; ways without rounds are left out.
        not_run: reasons by name of the way.
        n_documents: number of documents of each way.
    """
    measured = {name: found for name, found in rounds.items() if found}
    head = f"{'start-up apart':>17}{'included':>10}{'start-up':>10}{'memory':>9}"
    print(f"\n{'documents/s, medians':<22}{head}  statuses; documents with the same result as by {PLAIN}")
    for name, found in measured.items():
        apart, included = (n_documents / _seconds(found, with_start) for with_start in (False, True))
        start = f"{median(one.start_seconds for one in found):.1f} s"
        memory = f"{median(one.peak_bytes for one in found) / 2**20:,.0f} M"
        print(f"  {name:<20}{apart:>17.2f}{included:>10.2f}{start:>10}{memory:>9}  {_outcomes(found[-1], measured)}")
    for name, why in not_run.items():
        print(f"  {name:<20} not run: {why}")
    print("Memory: peak of the sum of PSS over all processes of a way, sampled every 2 s.")
    if OURS in measured:
        print(f"\n{f'{OURS} ÷':<22}{'start-up apart':>17}{'included':>10}  bar (start-up apart)")
        for way in WAYS.values():
            if way.at_least is None or way.name not in measured:
                continue
            apart, included = (
                _seconds(measured[way.name], with_start) / _seconds(measured[OURS], with_start)
                for with_start in (False, True)
            )
            verdict = "held" if apart >= way.at_least else "NOT held"
            print(f"  {way.name:<20}{apart:>17.3f}{included:>10.3f}  at least {way.at_least:.2f}: {verdict}")
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in measured[OURS][-1].parts.items())
        print(f"Parts of {OURS}, last round: {parts}")
    print(f"Versions: {'; '.join(f'{name}: {_versions(found[-1])}' for name, found in measured.items())}")


def _seconds(found: Sequence[Measured], with_start: bool) -> float:
    return median(one.seconds + one.start_seconds * with_start for one in found)


def _outcomes(one: Measured, measured: dict[str, list[Measured]]) -> str:
    counts = Counter(status for status, _ in one.outcomes.values())
    statuses = ", ".join(f"{status} {n}" for status, n in counts.most_common())
    if PLAIN not in measured:
        return statuses
    theirs = measured[PLAIN][-1].outcomes
    same = sum(text == theirs[name][1] for name, (_, text) in one.outcomes.items())
    return f"{statuses}; {same:,} of {len(theirs):,}"


def _versions(one: Measured) -> str:
    return ", ".join(f"{package} {version}" for package, version in one.versions.items())
