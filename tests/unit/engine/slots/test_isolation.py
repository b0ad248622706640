from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest
from waiting import wait_in_loop

from prox_spark.engine.slots import isolation
from prox_spark.engine.slots.isolation import Isolation
from prox_spark.locks import Lock, try_lock

pytestmark = pytest.mark.unit

# A slot in a process of its own, which is alone until it is killed.
ALONE = """
import asyncio, sys
from pathlib import Path
from prox_spark.engine.slots.isolation import Isolation
async def main():
    async with Isolation(Path(sys.argv[1])).alone():
        print("alone", flush=True)
        sys.stdin.read()
asyncio.run(main())
"""
LONG = 20.0


@dataclass
class Locks:
    """Record of the tries to lock the door and the room: the number of refused tries, and the granted ones."""

    n_refused: int = 0
    granted: list[tuple[str, Lock]] = field(default_factory=list)

    async def refuse(self, task: asyncio.Task[Any], n: int = 2) -> None:
        """Wait until further tries were refused, or the task that tries has ended after all."""
        before = self.n_refused
        await wait_in_loop(lambda: task.done() or self.n_refused >= before + n, "it tries in vain, or ends")


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> Locks:
    seen = Locks()

    def watch(file: IO[Any], how: Lock) -> bool:
        if not try_lock(file, how):
            seen.n_refused += 1
            return False
        seen.granted.append((Path(file.name).name, how))
        return True

    monkeypatch.setattr(isolation, "try_lock", watch)
    return seen


@asynccontextmanager
async def request(slot: Isolation) -> AsyncIterator[None]:
    await slot.enter()
    try:
        yield
    finally:
        slot.leave()


async def pass_through(slot: Isolation, order: list[str] | None = None) -> None:
    """Send a request of this slot as soon as it may be sent."""
    async with asyncio.timeout(LONG), request(slot):
        if order is not None:
            order.append("request")


async def be_alone(slot: Isolation, order: list[str] | None = None) -> None:
    async with asyncio.timeout(LONG), slot.alone():
        if order is not None:
            order.append("alone")


def test_many_slots_ask_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = Isolation(tmp_path), Isolation(tmp_path)
        async with request(first), request(first), request(second):
            await pass_through(second)

    asyncio.run(main())


@pytest.mark.parametrize("same_slot", [True, False])
def test_nobody_asks_while_one_is_alone(same_slot: bool, tmp_path: Path, locks: Locks) -> None:
    async def main() -> None:
        first, order = Isolation(tmp_path), list[str]()
        second = first if same_slot else Isolation(tmp_path)
        async with first.alone():
            waiting = asyncio.create_task(pass_through(second, order))
            await locks.refuse(waiting)
            order.append("no more alone")
        await waiting
        assert order == ["no more alone", "request"]

    asyncio.run(main())


@pytest.mark.parametrize("same_slot", [True, False])
def test_nobody_is_alone_before_all_requests_have_ended(same_slot: bool, tmp_path: Path, locks: Locks) -> None:
    async def main() -> None:
        first, order = Isolation(tmp_path), list[str]()
        second = first if same_slot else Isolation(tmp_path)
        await first.enter()
        await first.enter()
        waiting = asyncio.create_task(be_alone(second, order))
        first.leave()
        await locks.refuse(waiting)
        order.append("no more requests")
        first.leave()
        await waiting
        assert order == ["no more requests", "alone"]

    asyncio.run(main())


def test_requests_that_come_do_not_keep_one_from_being_alone(tmp_path: Path, locks: Locks) -> None:
    """The first slot sends each new request before the last has ended, for as long as the door is open."""

    async def main() -> None:
        first, second = Isolation(tmp_path), Isolation(tmp_path)
        await first.enter()
        alone = asyncio.create_task(be_alone(second))
        while not alone.done():
            following = asyncio.create_task(first.enter())
            await locks.refuse(following, 1)
            first.leave()
            await following
        await alone
        first.leave()

    asyncio.run(main())


def test_two_are_never_alone_at_once(tmp_path: Path, locks: Locks) -> None:
    async def main() -> None:
        slots = [Isolation(tmp_path) for _ in range(3)]
        n_alone = most = 0
        left = dict.fromkeys(slots, 3)

        async def suspect(slot: Isolation) -> None:
            nonlocal n_alone, most
            async with slot.alone():
                n_alone += 1
                most = max(most, n_alone)
                before = locks.n_refused
                others = [other for other in slots if other is not slot]
                await wait_in_loop(
                    lambda: locks.n_refused > before or not any(left[other] for other in others), "others try in vain"
                )
                n_alone -= 1
                left[slot] -= 1

        await asyncio.gather(*(suspect(slot) for slot in slots for _ in range(3)))
        assert most == 1
        for slot in slots:
            await pass_through(slot)

    asyncio.run(main())


def test_the_door_stays_closed_from_one_suspect_of_a_slot_to_the_next(tmp_path: Path, locks: Locks) -> None:
    async def main() -> None:
        first, second = Isolation(tmp_path), Isolation(tmp_path)
        order: list[str] = []
        other: list[asyncio.Task[None]] = []

        async def suspect(name: str) -> None:
            async with first.alone():
                order.append(name)
                if not other:
                    other.append(asyncio.create_task(pass_through(second, order)))
                await locks.refuse(other[0])

        await asyncio.gather(suspect("a"), suspect("b"), suspect("c"))
        await other[0]
        assert order == ["a", "b", "c", "request"]
        assert locks.granted.count(("door", Lock.EXCLUSIVE)) == 1, "it was closed again and again"

    asyncio.run(main())


def test_a_suspect_that_is_given_up_while_it_waits_opens_the_door(tmp_path: Path, locks: Locks) -> None:
    async def main() -> None:
        first, second = Isolation(tmp_path), Isolation(tmp_path)
        async with request(first):
            waiting = asyncio.create_task(be_alone(second))
            await locks.refuse(waiting)
            assert waiting.cancel(), "it was alone beside a request"
            await asyncio.gather(waiting, return_exceptions=True)
            await pass_through(Isolation(tmp_path))
        await be_alone(second)

    asyncio.run(main())


def test_a_slot_that_is_killed_while_alone_opens_the_door(tmp_path: Path, locks: Locks) -> None:
    async def main() -> None:
        slot, order = Isolation(tmp_path), list[str]()
        with subprocess.Popen(
            [sys.executable, "-c", ALONE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout and other.stdout.readline() == "alone\n"
            waiting = asyncio.create_task(pass_through(slot, order))
            await locks.refuse(waiting)
            order.append("killed")
            other.kill()
            await waiting
        assert order == ["killed", "request"]

    asyncio.run(main())


def test_crashes_are_counted_over_all_slots_and_for_each_run(tmp_path: Path) -> None:
    async def main() -> list[int]:
        return [Isolation(tmp_path).count_crash(run) for run in ("first", "first", "second", "first")]

    assert asyncio.run(main()) == [1, 2, 1, 3]
