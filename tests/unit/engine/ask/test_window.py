from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_server import FakeEngineServer, Reply, completion, echo
from waiting import wait_in_loop, wait_until

from prox_spark.engine.ask.resident_session import ResidentSession
from prox_spark.engine.ask.window import RequestWindow, _LoopThread
from prox_spark.engine.life.record import Engine
from prox_spark.engine.slots.sharing import Share
from prox_spark.engine.wire.answers import Answer
from prox_spark.errors import EngineError, EngineStartError, ReasonCode

pytestmark = pytest.mark.unit

Prompts = Iterator[tuple[int, list[int]]]


def prompts(n: int) -> Prompts:
    return ((number, [number]) for number in range(n))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def window(connect: Callable[[], Engine], size: int = 4, seconds: float = 10) -> RequestWindow[int]:
    session = ResidentSession(connect, {"max_tokens": 4}, seconds, lambda n_deaths: None, max_crashing_prompts=10)
    return RequestWindow(session, Share(Path("slots"), size))


def window_at(server: FakeEngineServer, size: int = 8, seconds: float = 10) -> RequestWindow[int]:
    return window(server.engine, size, seconds)


def answers_of(server: FakeEngineServer, n: int, **settings: float) -> dict[int, Answer]:
    return dict(window_at(server, **settings).ask_all(prompts(n)))  # type: ignore[arg-type]


def dead_process() -> tuple[int, float]:
    """Return pid and start of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid, time.time()


def replies(special: dict[int, Reply]) -> Callable[[list[int]], Reply]:
    """Return a reply that echoes all prompts without a special reply."""
    return lambda prompt: special[prompt[0]] if prompt[0] in special else echo(prompt)


class Connections:
    """A `connect` that returns one engine after the other, the last one over and over, and counts its calls."""

    def __init__(self, *engines: Engine) -> None:
        self.engines = engines
        self.n_calls = 0

    def __call__(self) -> Engine:
        self.n_calls += 1
        return self.engines[min(self.n_calls, len(self.engines)) - 1]


def test_every_prompt_gets_its_own_answer() -> None:
    with FakeEngineServer() as server:
        answers = answers_of(server, 40)
    assert {tag: answer.text for tag, answer in answers.items()} == {number: str(number) for number in range(40)}


def test_an_answer_says_who_gave_it_and_what_it_cost() -> None:
    with FakeEngineServer(lambda _: completion("keep", n_tokens=3), name="e-1") as server:
        answer = answers_of(server, 1)[0]
    assert answer == Answer("keep", "stop", 3, {}, engine_id="e-1")


def test_a_request_is_the_parameters_with_the_token_ids() -> None:
    with FakeEngineServer() as server:
        answers_of(server, 1)
    assert server.bodies == [{"model": "refiner", "prompt": [0], "max_tokens": 4}]


def test_log_probabilities_are_read_by_token_id() -> None:
    with FakeEngineServer(lambda _: completion("x", [{"token_id:17": -0.25, "token_id:5": -3.0}])) as server:
        assert answers_of(server, 1)[0].log_probabilities == {17: -0.25, 5: -3.0}


def test_no_prompts_are_no_answers_and_no_connection() -> None:
    connect = Connections()
    assert list(window(connect).ask_all(prompts(0))) == []
    assert connect.n_calls == 0


def test_answers_are_passed_on_in_the_order_they_come() -> None:
    def first_comes_last(server: FakeEngineServer, prompt: list[int]) -> bool:
        return prompt != [0] or len(server.answered) == 19

    with FakeEngineServer(ready=first_comes_last) as server:
        tags = [tag for tag, _ in window_at(server).ask_all(prompts(20))]
    assert tags[-1] == 0 and sorted(tags) == list(range(20))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_window_is_filled_and_never_exceeded(size: int) -> None:
    def when_full(server: FakeEngineServer, _: list[int]) -> bool:
        return server.in_flight >= min(size, 30 - len(server.answered))

    with FakeEngineServer(ready=when_full) as server:
        assert len(answers_of(server, 30, size=size)) == 30
    assert server.most_in_flight == size


def test_a_window_that_is_larger_than_its_source_is_no_trouble() -> None:
    with FakeEngineServer() as server:
        assert len(answers_of(server, 3, size=100)) == 3


def test_the_source_is_not_drawn_ahead_of_the_window() -> None:
    n_drawn = n_taken = most_ahead = 0

    def source() -> Prompts:
        nonlocal n_drawn, most_ahead
        for number in range(30):
            n_drawn += 1
            most_ahead = max(most_ahead, n_drawn - n_taken)
            yield number, [number]

    with FakeEngineServer() as server:
        for _ in window_at(server, size=4).ask_all(source()):
            n_taken += 1
    assert (n_taken, n_drawn) == (30, 30) and most_ahead <= 4


def test_one_window_spans_the_batches_of_its_source() -> None:
    """The source goes on to its next batch while requests of the last are in flight."""

    def source() -> Prompts:
        yield from prompts(2)
        wait_until(lambda: server.in_flight == 2, "the first batch is in flight")
        yield 2, [2]

    with FakeEngineServer(ready=lambda server, _: len(server.received) == 3) as server:
        assert len(dict(window_at(server).ask_all(source()))) == 3


@pytest.mark.parametrize("status", [400, 404, 422])
@pytest.mark.parametrize(
    "body", [{"error": {"message": "bad token"}}, {"message": "bad token"}, {"detail": "bad token"}], ids=str
)
def test_a_refused_request_is_a_row_with_the_engines_words(status: int, body: dict[str, object]) -> None:
    with FakeEngineServer(replies({1: (status, body)}), name="e-1") as server:
        answers = answers_of(server, 3)
    refused = answers[1]
    assert (refused.text, refused.error_code, refused.engine_id) == (None, ReasonCode.REQUEST_REFUSED, "e-1")
    assert refused.error_message is not None
    assert refused.error_message.startswith(f"{status}: ") and "bad token" in refused.error_message
    assert [answers[tag].text for tag in (0, 2)] == ["0", "2"]


def test_an_engine_that_lost_an_adapter_is_connected_to_again_which_loads_it() -> None:
    loaded: list[Engine] = []

    def reply(prompt: list[int]) -> Reply:
        return echo(prompt) if len(loaded) > 1 else (404, {"error": {"message": "The model `mine` does not exist."}})

    with FakeEngineServer(reply) as server:

        def connect() -> Engine:
            loaded.append(server.engine())
            return loaded[-1]

        session = ResidentSession(connect, {}, 10, lambda n_deaths: None, max_crashing_prompts=0, model="mine")
        answers = dict(RequestWindow(session, Share(Path("slots"), 1)).ask_all(prompts(2)))
        assert {body["model"] for body in server.bodies} == {"mine"}
    assert [answers[n].text for n in range(2)] == ["0", "1"] and len(loaded) == 2


def test_a_request_refused_in_plain_text_is_a_row_too() -> None:
    with FakeEngineServer(replies({1: (413, "Request Entity Too Large")})) as server:
        assert answers_of(server, 3)[1].error_code is ReasonCode.REQUEST_REFUSED


def test_a_request_past_its_deadline_is_a_row() -> None:
    with FakeEngineServer(ready=lambda _, prompt: prompt != [1], name="e-1") as server:
        answers = answers_of(server, 3, seconds=2)
    late = answers[1]
    assert (late.text, late.error_code, late.engine_id) == (None, ReasonCode.REQUEST_TIMEOUT, "e-1")
    assert late.error_message == "no answer in engine.request_seconds = 2 s"
    assert [answers[tag].text for tag in (0, 2)] == ["0", "2"]


def test_an_internal_error_of_a_living_engine_is_a_row_that_another_run_asks_again() -> None:
    with FakeEngineServer(replies({1: (500, "sampler failed")}), name="e-1") as server:
        answers = answers_of(server, 3)
    assert answers[1] == Answer(
        error_code=ReasonCode.REQUEST_TIMEOUT, error_message="500: sampler failed", engine_id="e-1"
    )
    assert [answers[tag].text for tag in (0, 2)] == ["0", "2"]


def test_an_internal_error_of_a_dead_engine_is_asked_again_of_the_next() -> None:
    with FakeEngineServer(lambda _: (500, "engine core died")) as dying, FakeEngineServer(name="e-2") as next_one:
        connect = Connections(dying.engine(*dead_process()), next_one.engine())
        answers = dict(window(connect).ask_all(prompts(1)))
    assert (answers[0].text, answers[0].engine_id, connect.n_calls) == ("0", "e-2", 2)


def test_an_engine_that_fails_its_health_check_is_not_asked_again() -> None:
    with FakeEngineServer(lambda _: (500, "engine core died")) as ill, FakeEngineServer(name="e-2") as next_one:
        ill.is_well = False
        connect = Connections(ill.engine(), next_one.engine())
        answers = dict(window(connect).ask_all(prompts(1)))
    assert answers[0].engine_id == "e-2"


def test_after_a_broken_connection_only_unanswered_prompts_are_sent_to_the_new_engine() -> None:
    taken: list[int] = []

    def once_three_are_taken(_: FakeEngineServer, prompt: list[int]) -> bool:
        return prompt[0] < 3 or len(taken) == 3

    breaking = replies({number: None for number in range(3, 8)})
    with FakeEngineServer(breaking, once_three_are_taken) as old, FakeEngineServer(name="e-2") as new:
        connect = Connections(old.engine(), new.engine())
        for tag, answer in window(connect, size=16).ask_all(prompts(8)):
            taken.append(tag)
            assert answer.text == str(tag)
            if len(taken) == 3:
                old.recheck()
    assert sorted(taken) == list(range(8))
    assert sorted(old.answered) == [[0], [1], [2]]
    assert sorted(new.received) == [[3], [4], [5], [6], [7]]
    assert connect.n_calls == 2


def test_an_engine_that_breaks_off_one_request_again_and_again_ends_the_task() -> None:
    with FakeEngineServer(replies({1: None})) as server:
        (server.folder / "engine.log").write_text("first\nlast words\n", encoding="utf-8")
        with pytest.raises(EngineError, match=r"broke off the same request 10 times(.|\n)*last words"):
            answers_of(server, 2, size=1)
    assert server.received.count([1]) == 10


def test_an_engine_that_can_not_be_started_again_ends_the_task_with_its_own_message() -> None:
    def connect() -> Engine:
        if not server.received:
            return server.engine()
        raise EngineStartError("died 3 times")

    with (
        FakeEngineServer(replies({0: None})) as server,
        pytest.raises(EngineStartError, match=r"^died 3 times$"),
    ):
        list(window(connect, size=1).ask_all(prompts(3)))


@pytest.mark.parametrize("failure", [OSError("disk full"), ValueError("disk full"), EngineError("disk full")], ids=repr)
def test_a_failure_to_connect_surfaces_as_an_engine_error(failure: Exception) -> None:
    def connect() -> Engine:
        raise failure

    with pytest.raises(EngineError, match="disk full") as caught:
        list(window(connect).ask_all(prompts(3)))
    assert failure in (caught.value, caught.value.__cause__)


def test_a_failure_of_the_source_surfaces_as_it_is() -> None:
    def source() -> Prompts:
        yield from prompts(2)
        raise LookupError("upstream")

    with FakeEngineServer() as server, pytest.raises(LookupError, match="upstream"):
        list(window_at(server).ask_all(source()))


def threads_of_the_client() -> list[str]:
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith(("prox-spark", "asyncio"))]


def test_all_answers_taken_leave_no_thread() -> None:
    with FakeEngineServer() as server:
        answers_of(server, 9)
        wait_until(lambda: not threads_of_the_client(), "no thread of the client is left")


def test_a_consumer_that_stops_early_leaves_no_thread_and_no_request() -> None:
    with FakeEngineServer(ready=lambda _, prompt: prompt == [0]) as server:
        answers = window_at(server, size=4).ask_all(prompts(30))
        assert next(answers)[0] == 0
        assert "prox-spark-engine-client" in threads_of_the_client()
        answers.close()  # type: ignore[attr-defined]
        wait_until(lambda: not threads_of_the_client(), "no thread of the client is left")
        wait_until(lambda: server.in_flight == 0, "no request is left in flight")


def test_a_failed_window_leaves_no_thread() -> None:
    def connect() -> Engine:
        raise EngineStartError("no")

    with pytest.raises(EngineStartError):
        list(window(connect).ask_all(prompts(9)))
    wait_until(lambda: not threads_of_the_client(), "no thread of the client is left")


def test_a_consumer_that_stops_early_does_not_connect_again(monkeypatch: pytest.MonkeyPatch) -> None:
    leave = _LoopThread.__exit__

    def leave_slowly(thread: _LoopThread, *why: object) -> None:
        # The consumer's thread is slow: what the requests do when they are cut off, they do before it goes on.
        thread.run(
            wait_in_loop(
                lambda: connect.n_calls > 1 or len(asyncio.all_tasks()) == 1, "the requests end or connect again"
            )
        )
        leave(thread, *why)

    monkeypatch.setattr(_LoopThread, "__exit__", leave_slowly)
    with FakeEngineServer(ready=lambda _, prompt: prompt == [0]) as server:
        connect = Connections(server.engine())
        answers = window(connect).ask_all(prompts(30))
        next(answers)
        wait_until(lambda: server.in_flight == 3, "the window is full")
        answers.close()  # type: ignore[attr-defined]
    assert connect.n_calls == 1


def test_an_engine_that_can_not_be_started_is_not_started_once_for_each_prompt() -> None:
    n_calls = n_ended = 0
    both_are_sent = threading.Event()

    class WatchedSession(ResidentSession):
        async def ask(self, token_ids: list[int]) -> Answer:
            nonlocal n_ended
            try:
                return await super().ask(token_ids)
            finally:
                n_ended += 1

    def connect() -> Engine:
        nonlocal n_calls
        n_calls += 1
        assert both_are_sent.wait(20)
        raise EngineStartError("not ready in 300 s")

    def source() -> Prompts:
        yield from prompts(2)
        both_are_sent.set()
        wait_until(lambda: n_ended == 2, "both requests have failed")

    session = WatchedSession(connect, {}, 10, lambda n_deaths: None, max_crashing_prompts=10)
    with pytest.raises(EngineStartError):
        list(RequestWindow(session, Share(Path("slots"), 8)).ask_all(source()))
    assert n_calls == 1
