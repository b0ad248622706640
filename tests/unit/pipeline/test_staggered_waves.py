"""Waves that overlap: which stage may be whose, and what happens when one fails or the user interrupts. No Spark: waves are numbers."""

from __future__ import annotations

import gc
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from prox_spark import threads
from prox_spark.pipeline.waves import Turn, Turns, Wave, Work, run_one_by_one, run_staggered

STAGES = ("doc", "chunk", "apply")
SECONDS = 20.0


class FakeSession:
    """A session that is its own context: remembers tags; cancelling ends what waits for `cancelled`."""

    def __init__(self) -> None:
        self.sparkContext = self
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
        self.log: list[tuple[str, int]] = []
        self._within = within

    def __call__(self, wave: Wave, turn: Turn) -> None:
        for stage in STAGES:
            with turn(stage):
                self.log.append((f"into {stage}", wave.number))
                self._within(stage, wave.number)
                self.log.append((f"out of {stage}", wave.number))


def waves(n: int) -> list[Wave]:
    nothing: Any = None
    return [Wave(number, n, nothing) for number in range(n)]


def stagger(n_waves: int, work: Work, spark: Any = None) -> None:
    run_staggered(spark or FakeSession(), waves(n_waves), work, "run")


def test_a_stage_is_one_wave_s_at_a_time_in_the_order_of_waves() -> None:
    in_chunk, elsewhere = threading.Event(), threading.Event()

    def slow(stage: str, wave: int) -> None:
        if (stage, wave) == ("chunk", 0):  # the second wave is through the first stage and wants this one
            in_chunk.set()
            assert elsewhere.wait(SECONDS)
        if (stage, wave) == ("doc", 2):
            assert in_chunk.wait(SECONDS)
            elsewhere.set()

    work = Recorded(slow)
    stagger(6, work)
    for stage in STAGES:
        assert [event for event in work.log if event[0].endswith(stage)] == [
            (f"{way} {stage}", wave) for wave in range(6) for way in ("into", "out of")
        ]


def test_the_next_wave_is_asked_while_this_one_is_still_at_work() -> None:
    begun = threading.Event()

    def meet(stage: str, wave: int) -> None:
        if (stage, wave) == ("doc", 1):
            begun.set()
        if (stage, wave) == ("chunk", 0):
            assert begun.wait(SECONDS), "the second wave waits for the end of the first"

    stagger(2, Recorded(meet))


def test_no_more_waves_are_under_way_than_there_are_stages() -> None:
    waiting, too_early = threading.Event(), threading.Event()

    def slow(stage: str, wave: int) -> None:
        if (stage, wave) == ("chunk", 2):
            waiting.set()
        if (stage, wave) == ("apply", 0):
            assert waiting.wait(SECONDS)  # the other two have done what they can
            assert not too_early.wait(0.2)
        if (stage, wave) == ("doc", 3):
            too_early.set()

    work = Recorded(slow)
    stagger(6, work)
    assert len(work.log) == 6 * 2 * len(STAGES)


def test_each_wave_s_jobs_have_settings_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    inherited: list[Work] = []

    def inherit_thread_settings(work: Work) -> Work:
        inherited.append(work)
        return work

    monkeypatch.setattr(threads, "inheritable_thread_target", inherit_thread_settings)
    stagger(4, Recorded())
    assert len(inherited) == 4


def test_when_a_wave_fails_the_others_end_their_stages_and_go_no_further(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, closed = threading.Event(), threading.Event()
    close = Turns.close

    def told(turns: Turns) -> None:
        close(turns)
        closed.set()

    monkeypatch.setattr(Turns, "close", told)

    def fail(stage: str, wave: int) -> None:
        if (stage, wave) == ("doc", 1):
            begun.set()
            assert closed.wait(SECONDS)
        if (stage, wave) == ("chunk", 0):
            assert begun.wait(SECONDS)
            raise ValueError("no engine\nand a stack trace")

    work = Recorded(fail)
    with pytest.raises(ValueError, match="no engine"):
        stagger(4, work)
    assert ("out of doc", 1) in work.log  # paid for
    assert [event for event in work.log if not event[0].endswith("doc")] == [("into chunk", 0)]
    assert {wave for _, wave in work.log} == {0, 1}
    (said,) = (record.getMessage() for record in caplog.records)
    assert said == "wave 1 of 4 failed: no engine; those beside it end their stages first"


def test_a_wave_whose_thread_can_t_begin_fails_the_run() -> None:
    class FakeFullContext(FakeSession):
        def addJobTag(self, tag: str) -> None:
            raise OSError("too many open files")

    with pytest.raises(OSError, match="too many open files"):
        stagger(3, Recorded(), FakeFullContext())


@pytest.fixture
def heard_interrupts() -> Iterator[None]:
    """A shell starts what runs in its background without them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard_interrupts")
@pytest.mark.parametrize("is_jvm_gone", [False, True])
def test_an_interrupt_cancels_the_jobs_and_begins_nothing_more(is_jvm_gone: bool) -> None:
    class FakeInterrupted(FakeSession):
        def cancelJobsWithTag(self, tag: str) -> None:
            super().cancelJobsWithTag(tag)
            if is_jvm_gone:
                raise ConnectionError("gone")

    context = FakeInterrupted()

    def interrupt(stage: str, wave: int) -> None:
        # Until it is heard: the caller may still be submitting waves.
        while not context.cancelled.wait(0.05):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            assert context.cancelled.wait(SECONDS)
        raise RuntimeError("job cancelled")

    work = Recorded(interrupt)
    with pytest.raises(KeyboardInterrupt):
        stagger(3, work, context)
    assert context.cancelled.is_set()
    assert work.log == [("into doc", 0)]


def test_one_by_one_a_wave_begins_when_the_one_before_is_done() -> None:
    work = Recorded()
    run_one_by_one(waves(3), work)
    assert work.log == [(f"{way} {stage}", wave) for wave in range(3) for stage in STAGES for way in ("into", "out of")]


@pytest.fixture
def without_collector() -> Iterator[None]:
    """No collection but those that the product asks for."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("run", [lambda work: run_one_by_one(waves(3), work), lambda work: stagger(3, work)])
@pytest.mark.usefixtures("without_collector")
def test_what_a_wave_leaves_in_reference_cycles_goes_with_it(run: Callable[[Work], None]) -> None:
    class Frame:
        """As those of py4j, it refers to itself."""

        def __init__(self) -> None:
            self.me = self

    left: list[weakref.ref[Frame]] = []
    run(lambda _wave, _turn: left.append(weakref.ref(Frame())))
    assert len(left) == 3 and not any(frame() for frame in left)
