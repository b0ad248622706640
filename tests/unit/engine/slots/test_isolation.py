from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from prox_spark.engine.slots.isolation import Isolation

pytestmark = pytest.mark.unit

# A slot that is alone in a process of its own, until it is killed.
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
# What must not happen is given this long to happen; what must has time enough, also on a busy host.
BRIEFLY = 0.3
LONG = 20.0


@asynccontextmanager
async def request(slot: Isolation) -> AsyncIterator[None]:
    await slot.enter()
    try:
        yield
    finally:
        slot.leave()


async def passes(slot: Isolation, seconds: float = LONG) -> bool:
    """Can a request of this slot be sent now."""
    try:
        async with asyncio.timeout(seconds), request(slot):
            return True
    except TimeoutError:
        return False


async def gets_alone(slot: Isolation, seconds: float = LONG) -> bool:
    try:
        async with asyncio.timeout(seconds), slot.alone():
            return True
    except TimeoutError:
        return False


def test_many_slots_ask_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = Isolation(tmp_path), Isolation(tmp_path)
        async with request(first), request(first), request(second):
            assert await passes(second)

    asyncio.run(main())


@pytest.mark.parametrize("same_slot", [True, False])
def test_nobody_asks_while_one_is_alone(same_slot: bool, tmp_path: Path) -> None:
    async def main() -> None:
        first = Isolation(tmp_path)
        second = first if same_slot else Isolation(tmp_path)
        async with first.alone():
            assert not await passes(second, BRIEFLY)
        assert await passes(second)

    asyncio.run(main())


@pytest.mark.parametrize("same_slot", [True, False])
def test_nobody_is_alone_before_all_requests_have_ended(same_slot: bool, tmp_path: Path) -> None:
    async def main() -> None:
        first = Isolation(tmp_path)
        second = first if same_slot else Isolation(tmp_path)
        await first.enter()
        await first.enter()
        waiting = asyncio.create_task(gets_alone(second))
        first.leave()
        await asyncio.sleep(BRIEFLY)
        assert not waiting.done()
        first.leave()
        assert await waiting

    asyncio.run(main())


def test_requests_that_come_do_not_keep_one_from_being_alone(tmp_path: Path) -> None:
    """The first slot always has a request in flight, and each new one is sent before the last has ended."""

    async def main() -> None:
        first, second = Isolation(tmp_path), Isolation(tmp_path)

        async def busy() -> None:
            async with request(first):
                await asyncio.sleep(0.05)

        got_alone = asyncio.Event()

        async def overlapping() -> None:
            """Without end, unless the other gets its turn."""
            async with asyncio.TaskGroup() as group:
                while not got_alone.is_set():
                    group.create_task(busy())
                    await asyncio.sleep(0.005)

        async def alone() -> None:
            await asyncio.sleep(0.02)
            if await gets_alone(second):
                got_alone.set()

        requests = asyncio.create_task(overlapping())
        await alone()
        assert got_alone.is_set()
        await requests

    asyncio.run(main())


def test_two_are_never_alone_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        slots = [Isolation(tmp_path) for _ in range(3)]
        n_alone = most = 0

        async def suspect(slot: Isolation) -> None:
            nonlocal n_alone, most
            async with slot.alone():
                n_alone += 1
                most = max(most, n_alone)
                await asyncio.sleep(0.005)
                n_alone -= 1

        await asyncio.gather(*(suspect(slot) for slot in slots for _ in range(3)))
        assert most == 1
        assert all([await passes(slot) for slot in slots])

    asyncio.run(main())


def test_the_door_stays_closed_from_one_suspect_of_a_slot_to_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = Isolation(tmp_path), Isolation(tmp_path)
        order: list[str] = []

        async def suspect(name: str) -> None:
            async with first.alone():
                order.append(name)
                await asyncio.sleep(0.1)

        async def other() -> None:
            await asyncio.sleep(0.02)
            async with request(second):
                order.append("other")

        await asyncio.gather(suspect("a"), suspect("b"), suspect("c"), other())
        assert order == ["a", "b", "c", "other"]

    asyncio.run(main())


def test_a_suspect_that_is_given_up_while_it_waits_opens_the_door(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = Isolation(tmp_path), Isolation(tmp_path)
        async with request(first):
            assert not await gets_alone(second, BRIEFLY)
            assert await passes(first)
        assert await gets_alone(second)

    asyncio.run(main())


def test_a_slot_that_is_killed_while_alone_opens_the_door(tmp_path: Path) -> None:
    async def main() -> None:
        slot = Isolation(tmp_path)
        with subprocess.Popen(
            [sys.executable, "-c", ALONE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout and other.stdout.readline() == "alone\n"
            assert not await passes(slot, BRIEFLY)
            other.kill()
            assert await passes(slot)

    asyncio.run(main())


def test_crashes_are_counted_over_all_slots_and_for_each_run(tmp_path: Path) -> None:
    async def main() -> list[int]:
        return [Isolation(tmp_path).count_crash(run) for run in ("first", "first", "second", "first")]

    assert asyncio.run(main()) == [1, 2, 1, 3]
