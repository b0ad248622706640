"""Prompts that engines die with, on fake engines that break off connections."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_server import FakeEngineServer, Reply, echo

from prox_spark.engine.ask.resident_session import ResidentSession
from prox_spark.engine.ask.window import RequestWindow
from prox_spark.engine.life.record import Engine
from prox_spark.engine.slots.sharing import Share
from prox_spark.engine.wire.answers import Answer
from prox_spark.errors import EngineError, ReasonCode

pytestmark = pytest.mark.unit

N_PROMPTS = 4
POISON = [1]


@dataclass
class FakeExecutor:
    """Engines that are started one after the other. An engine that is not well is dead."""

    servers: list[FakeEngineServer]
    folder: Path
    forgiven: list[int] = field(default_factory=list)

    def connect(self) -> Engine:
        return next(server for server in self.servers if server.is_well).engine()

    def answers(self, n: int = N_PROMPTS, max_crashing_prompts: int = 10, run: str = "") -> dict[int, Answer]:
        session = ResidentSession(self.connect, {}, 10, self.forgiven.append, max_crashing_prompts, run)
        window: RequestWindow[int] = RequestWindow(session, Share(self.folder / "slots", n))
        return dict(window.ask_all((number, [number]) for number in range(n)))


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Callable[..., FakeExecutor]]:
    """Make an executor from the kinds of its engines, see `engine`."""
    with ExitStack() as stack:

        def make(*kinds: str) -> FakeExecutor:
            servers = [stack.enter_context(engine(kind, f"e-{number}")) for number, kind in enumerate(kinds, 1)]
            return FakeExecutor(servers, tmp_path)

        yield make


def engine(kind: str, name: str) -> FakeEngineServer:
    """Make an engine of a kind.

    `full` dies when all prompts are in flight, and `poison` of its poison. `well` never dies. `patient` answers when all
    prompts are in flight.
    """

    def reply(prompt: list[int]) -> Reply:
        if kind == "full" or (kind == "poison" and prompt == POISON):
            server.is_well = False
            return None
        return echo(prompt)

    def ready(server: FakeEngineServer, _: list[int]) -> bool:
        return kind not in ("full", "patient") or len(server.received) == N_PROMPTS

    server = FakeEngineServer(reply, ready, name)
    return server


def texts(answers: dict[int, Answer]) -> dict[int, str | None]:
    return {number: answer.text for number, answer in sorted(answers.items())}


def test_after_one_death_all_are_asked_again_at_once(executor: Callable[..., FakeExecutor]) -> None:
    fed = executor("full", "patient")
    assert texts(fed.answers()) == {n: str(n) for n in range(N_PROMPTS)}
    assert fed.servers[1].most_in_flight == N_PROMPTS and fed.forgiven == []


def test_after_two_deaths_each_is_asked_alone(executor: Callable[..., FakeExecutor]) -> None:
    fed = executor("full", "full", "well")
    assert texts(fed.answers()) == {n: str(n) for n in range(N_PROMPTS)}
    assert fed.servers[2].most_in_flight == 1 and fed.forgiven == []


def test_the_one_that_ends_an_engine_alone_is_the_error_and_its_deaths_are_forgiven(
    executor: Callable[..., FakeExecutor],
) -> None:
    fed = executor("full", "full", "poison", "well")
    (fed.servers[2].folder / "engine.log").write_text("Segmentation fault\n", encoding="utf-8")
    answers = fed.answers()
    crashed = answers.pop(POISON[0])
    assert texts(answers) == {n: str(n) for n in (0, 2, 3)}
    assert (crashed.text, crashed.error_code, crashed.engine_id) == (None, ReasonCode.ENGINE_CRASH, "e-3")
    assert crashed.error_message == (
        "the engine died 3 times with this prompt in flight, at last with no other: Segmentation fault"
    )
    assert fed.forgiven == [3]


def test_an_engine_that_was_dead_before_is_not_held_against_the_prompt(
    executor: Callable[..., FakeExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third engine dies without a cause, after the slot connected to it and before it is asked."""
    fed = executor("full", "full", "well", "well")
    third = fed.servers[2]
    found_alive = Engine.is_alive

    def dies_first(engine: Engine) -> bool:
        if engine.engine_id == "e-3":
            third.is_well = False
        return found_alive(engine)

    monkeypatch.setattr(Engine, "is_alive", dies_first)
    assert texts(fed.answers()) == {n: str(n) for n in range(N_PROMPTS)}
    assert third.received == []


def test_prompts_that_are_sent_while_the_engine_is_gone_are_no_suspects(tmp_path: Path) -> None:
    """Nothing listens at the first two engines' sockets, so no prompt has reached them."""
    with engine("patient", "e-3") as last:
        gone = [Engine(f"e-{n}", *dead_process(), str(tmp_path / f"s{n}"), str(tmp_path / "log"), n) for n in (1, 2)]
        engines = iter([*gone, last.engine()])
        session = ResidentSession(lambda: next(engines), {}, 10, lambda n: None, 10)
        window: RequestWindow[int] = RequestWindow(session, Share(tmp_path / "slots", N_PROMPTS))
        answers = dict(window.ask_all((n, [n]) for n in range(N_PROMPTS)))
    assert texts(answers) == {n: str(n) for n in range(N_PROMPTS)} and last.most_in_flight == N_PROMPTS


def dead_process() -> tuple[int, float]:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid, time.time()


def test_one_crashing_prompt_more_than_allowed_is_an_error_of_the_engine(
    executor: Callable[..., FakeExecutor],
) -> None:
    fed = executor("full", "full", "poison", "well")
    with pytest.raises(EngineError, match=r"1 prompts of this run have crashed .* engine\.max_crashing_prompts is 0"):
        fed.answers(max_crashing_prompts=0)
    assert fed.forgiven == []


def test_crashes_of_an_earlier_run_are_not_held_against_the_next(executor: Callable[..., FakeExecutor]) -> None:
    fed = executor(*["full", "full", "poison", "well"] * 2)
    for run, last in (("first", 3), ("second", 7)):
        assert fed.answers(max_crashing_prompts=1, run=run)[POISON[0]].error_code is ReasonCode.ENGINE_CRASH
        fed.servers[last].is_well = False
