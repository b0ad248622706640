"""Waves that overlap: which stage may be whose, and what happens when one fails or the user interrupts. No Spark: waves are numbers."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Any

import pytest

from prox_spark.pipeline.plan import Wave
from prox_spark.pipeline.staggered import Turn, one_by_one, staggered

STAGES = ("doc", "chunk", "apply")
SECONDS = 20.0


class FakeContext:
    """Of Spark: remembers tags; cancelling ends what waits for `cancelled`."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self.cancelled = threading.Event()

    def addJobTag(self, tag: str) -> None:
        self.tags.append(tag)

    def cancelJobsWithTag(self, tag: str) -> None:
        assert tag in self.tags
        self.cancelled.set()


class Recorded:
    """Work that notes when it enters and leaves a stage, and does something in between."""

    def __init__(self, within: Callable[[str, int], None] = lambda _stage, _wave: None) -> None:
        self.entered: list[tuple[str, int]] = []
        self.left: list[tuple[str, int]] = []
        self._within = within

    def __call__(self, wave: Wave, turn: Turn) -> None:
        for stage in STAGES:
            with turn(stage):
                self.entered.append((stage, wave.number))
                self._within(stage, wave.number)
                self.left.append((stage, wave.number))


def waves(n: int) -> list[Wave]:
    nothing: Any = None
    return [Wave(number, n, nothing) for number in range(n)]


def stagger(n_waves: int, work: Callable[[Wave, Turn], None], context: Any = None) -> None:
    staggered(context or FakeContext(), waves(n_waves), work, "run")


def test_a_stage_is_one_wave_s_at_a_time_in_the_order_of_waves() -> None:
    busy = {stage: threading.Lock() for stage in STAGES}

    def alone(stage: str, _wave: int) -> None:
        assert busy[stage].acquire(blocking=False), f"two waves in {stage}"
        busy[stage].release()

    work = Recorded(alone)
    stagger(6, work)
    for stage in STAGES:
        assert [wave for s, wave in work.left if s == stage] == list(range(6))


def test_the_next_wave_is_asked_while_this_one_is_still_at_work() -> None:
    begun = threading.Event()

    def meet(stage: str, wave: int) -> None:
        if (stage, wave) == ("doc", 1):
            begun.set()
        if (stage, wave) == ("chunk", 0):
            assert begun.wait(SECONDS), "the second wave waits for the end of the first"

    stagger(2, Recorded(meet))


def test_no_more_than_two_waves_are_under_way() -> None:
    work, room = Recorded(), threading.Semaphore(2)

    def counted(wave: Wave, turn: Turn) -> None:
        assert room.acquire(blocking=False), "three waves"
        work(wave, turn)
        room.release()

    stagger(6, counted)
    assert len(work.left) == 6 * len(STAGES)


def test_when_a_wave_fails_the_other_ends_its_stage_and_goes_no_further() -> None:
    begun, failing = threading.Event(), threading.Event()

    def fail(stage: str, wave: int) -> None:
        if (stage, wave) == ("doc", 1):
            begun.set()
            assert failing.wait(SECONDS)
        if (stage, wave) == ("chunk", 0):
            assert begun.wait(SECONDS)
            failing.set()
            raise ValueError("no engine")

    work = Recorded(fail)
    with pytest.raises(ValueError, match="no engine"):
        stagger(4, work)
    assert ("doc", 1) in work.left  # paid for
    assert {wave for stage, wave in work.entered if stage != "doc"} == {0}
    assert {wave for _, wave in work.entered} == {0, 1}


def test_an_interrupt_cancels_the_jobs_and_begins_nothing_more() -> None:
    context = FakeContext()

    def interrupted(stage: str, wave: int) -> None:
        if (stage, wave) == ("doc", 0):
            _thread.interrupt_main()
            assert context.cancelled.wait(SECONDS)
            raise RuntimeError("job cancelled")

    work = Recorded(interrupted)
    with pytest.raises(KeyboardInterrupt):
        stagger(3, work, context)
    assert work.entered == [("doc", 0)] and not work.left


def test_a_jvm_that_is_gone_does_not_hide_the_interrupt() -> None:
    gone = threading.Event()

    class FakeLostContext(FakeContext):
        def cancelJobsWithTag(self, tag: str) -> None:
            gone.set()
            raise ConnectionError("gone")

    def interrupted(stage: str, wave: int) -> None:
        _thread.interrupt_main()
        assert gone.wait(SECONDS)
        raise ConnectionError("gone")

    with pytest.raises(KeyboardInterrupt):
        stagger(1, Recorded(interrupted), FakeLostContext())


def test_one_by_one_a_wave_begins_when_the_one_before_is_done() -> None:
    work = Recorded()
    one_by_one(waves(3), work)
    assert work.entered == [(stage, wave) for wave in range(3) for stage in STAGES]
