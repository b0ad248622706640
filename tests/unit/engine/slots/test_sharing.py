from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import wait_until

from prox_spark.engine.host.executor import Owner, locate_owner_directory
from prox_spark.engine.slots.sharing import PassingShare, Share, SlotState, _SlotFile, count_in_flight, has_room

pytestmark = pytest.mark.unit

SIZE = 12
# A slot in a process of its own: it fills its share, prints the share's size, and stays until it is killed.
SLOT = """
import sys
from pathlib import Path
from prox_spark.engine.slots.sharing import Share
with Share(Path(sys.argv[1]), int(sys.argv[2])) as share:
    while share.has_room():
        share.count_sent()
    print(share.n_open, flush=True)
    sys.stdin.read()
"""


def hungry(n: int) -> SlotState:
    return SlotState(n, is_hungry=True)


def content(n: int) -> SlotState:
    return SlotState(n, is_hungry=False)


@pytest.mark.parametrize(
    ("n_open", "others", "room"),
    [
        (11, [], True),
        (12, [], False),
        # Two hungry slots have half each.
        (5, [hungry(6)], True),
        (6, [hungry(5)], False),
        # The part that one leaves is the other's.
        (9, [content(2)], True),
        (10, [content(2)], False),
        (11, [content(0)], True),
        # The first slot comes down to its share only bit by bit. Until then the window is full.
        (1, [hungry(11)], False),
        (11, [hungry(1)], False),
        (1, [hungry(10)], True),
        # A place that can't be divided goes to the first slot that asks.
        (3, [hungry(4), hungry(4)], True),
        (4, [hungry(4), hungry(3)], False),
        (4, [hungry(4), content(0)], True),
        # Every slot has at least one.
        (0, [hungry(12)], True),
        (0, [hungry(1)] * 20, True),
    ],
    ids=str,
)
def test_what_others_leave_is_shared_out(n_open: int, others: list[SlotState], room: bool) -> None:
    assert has_room(n_open, others, SIZE) is room


def fill(share: Share) -> int:
    while share.has_room():
        share.count_sent()
    return share.n_open


def done(share: Share) -> None:
    share.count_answered()
    share.count_passed_on()


def fills_up_to(share: Share, n: int) -> Callable[[], bool]:
    return lambda: fill(share) == n


def test_a_slot_alone_has_the_whole_window(tmp_path: Path) -> None:
    with Share(tmp_path, SIZE) as share:
        assert fill(share) == SIZE


def test_a_slot_that_comes_gets_its_half_as_the_other_gives_it_back(tmp_path: Path) -> None:
    with Share(tmp_path, SIZE) as first:
        fill(first)
        with Share(tmp_path, SIZE) as second:
            assert fill(second) == 1

            def answered_one() -> bool:
                done(first)
                return (fill(first), fill(second)) == (6, 6)

            wait_until(answered_one, "the window is halved")


def test_a_slot_that_wants_no_more_leaves_the_window_to_the_other(tmp_path: Path) -> None:
    with Share(tmp_path, SIZE) as first, Share(tmp_path, SIZE) as second:
        first.count_sent()
        assert fill(second) == SIZE - 1
        done(first)
        assert fill(second) == SIZE


def test_what_a_slot_has_answers_to_and_not_passed_on_is_room_for_the_other_and_not_for_itself(tmp_path: Path) -> None:
    with Share(tmp_path, SIZE) as first, Share(tmp_path, SIZE) as second:
        for _ in range(6):
            first.count_sent()
        assert fill(second) == 6
        for _ in range(6):
            first.count_answered()
        assert fill(second) == SIZE
        wait_until(lambda: not first.has_room(), "the slot that came is seen")


def test_a_slot_that_ends_leaves_its_share(tmp_path: Path) -> None:
    with Share(tmp_path, SIZE) as first:
        with Share(tmp_path, SIZE) as second:
            fill(second)
            first.count_sent()
            wait_until(lambda: not first.has_room(), "the slot that came is seen")
        wait_until(fills_up_to(first, SIZE), "the share of the slot that ended is free")


def test_a_slot_that_is_killed_leaves_its_share(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOT, str(tmp_path), str(SIZE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as slot:
        assert slot.stdout and slot.stdout.readline() == f"{SIZE}\n"
        with Share(tmp_path, SIZE) as share:
            assert fill(share) == 1
            slot.kill()
            wait_until(fills_up_to(share, SIZE), "the share of the killed slot is free")


def test_a_window_without_an_engine_goes_with_its_last_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(tmp_path))
    home = locate_owner_directory(Owner(1, 2.0)) / "endpoint"
    with PassingShare(home, SIZE) as first:
        with PassingShare(home, SIZE) as second:
            assert (fill(first), fill(second)) == (SIZE, 1)
        assert home.is_dir() and home.stat().st_mode & 0o777 == 0o700
    assert not home.parent.exists()
    with PassingShare(home, SIZE) as third:
        assert fill(third) == SIZE


def test_the_next_slot_takes_the_file_of_one_that_ended(tmp_path: Path) -> None:
    for _ in range(5):
        with Share(tmp_path, SIZE) as share:
            share.count_sent()
    assert [file.name for file in tmp_path.iterdir()] == ["0"]


class WatchedLock:
    """A lock that sets an event when a thread has to wait for it."""

    def __init__(self, waits: threading.Event) -> None:
        self._lock = threading.Lock()
        self._waits = waits

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._waits.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_the_newest_count_stands_when_an_answer_comes_while_a_prompt_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender is held up between reading the counts and writing them.

    It goes on when the answer has been counted, or waits for its turn to be.
    """
    may_go_on = threading.Event()
    write = _SlotFile.write

    def write_in_turn(file: _SlotFile, state: SlotState) -> None:
        if threading.current_thread() is answering:
            write(file, state)
            may_go_on.set()
        else:
            answering.start()
            assert may_go_on.wait(20)
            write(file, state)

    with Share(tmp_path, SIZE) as share:
        share._publishing = WatchedLock(may_go_on)  # type: ignore[assignment]
        answering = threading.Thread(target=share.count_answered)
        monkeypatch.setattr(_SlotFile, "write", write_in_turn)
        share.count_sent()
        answering.join()
        assert count_in_flight(tmp_path) == 0
