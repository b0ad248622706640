"""Remote sessions against a fake completions server over TCP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from waiting import wait_in_loop

from prox_spark.config import EngineConfig, Recipe
from prox_spark.engine.ask import remote
from prox_spark.engine.ask.remote import Endpoint, RemoteSession, choose_wait_seconds
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.wire.answers import Answer
from prox_spark.errors import EndpointError, ReasonCode, RecipeError
from prox_spark.refiners import find
from prox_spark.udfs.generate import Generate

pytestmark = pytest.mark.unit

KEY = "sk-do-not-tell"
GOOD = {"choices": [{"text": "keep", "finish_reason": "stop"}], "usage": {"completion_tokens": 2}}


class FakeEndpoint:
    """A server that gives one reply after the other, then the last one again and again, and keeps the requests.

    Args:
        replies: status, JSON or text body, headers.
    """

    def __init__(self, *replies: tuple[int, Any, dict[str, str]]) -> None:
        self._replies = replies
        self.requests: list[tuple[web.Request, dict[str, Any]]] = []
        self.times: list[float] = []

    def server(self) -> TestServer:
        app = web.Application()
        app.router.add_post("/v1/completions", self._complete)
        return TestServer(app)

    async def _complete(self, request: web.Request) -> web.Response:
        self.times.append(time.monotonic())
        self.requests.append((request, await request.json()))
        status, body, headers = self._replies[min(len(self.requests), len(self._replies)) - 1]
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers, content_type="application/json")


def reply(status: int = 200, body: Any = GOOD, **headers: str) -> tuple[int, Any, dict[str, str]]:
    return status, body, {name.replace("_", "-"): value for name, value in headers.items()}


@asynccontextmanager
async def asking(url: Any, request_seconds: float = 5, **settings: Any) -> AsyncIterator[RemoteSession]:
    session = RemoteSession(Endpoint(str(url), **({"model": "m"} | settings)), {"max_tokens": 4}, request_seconds)
    try:
        yield session
    finally:
        await session.close()


def ask(endpoint: FakeEndpoint, n: int = 1, **settings: Any) -> list[Answer]:
    async def main() -> list[Answer]:
        async with (
            endpoint.server() as server,
            asking(server.make_url("/v1"), model="some-model", **settings) as session,
        ):
            return await asyncio.gather(*(session.ask([number, 7]) for number in range(n)))

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def no_proxy_and_little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(remote, "_FIRST_WAIT_SECONDS", 0.01)


def test_a_prompt_is_sent_as_token_ids_with_model_and_parameters() -> None:
    endpoint = FakeEndpoint(reply())
    assert ask(endpoint) == [Answer("keep", "stop", 2)]
    (request, body) = endpoint.requests[0]
    assert body == {"model": "some-model", "prompt": [0, 7], "max_tokens": 4}
    assert "Authorization" not in request.headers


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", KEY)
    endpoint = FakeEndpoint(reply())
    ask(endpoint, key_variable="LLM_KEY")
    assert endpoint.requests[0][0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_key_that_is_not_there_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLM_KEY", raising=False)
    with pytest.raises(EndpointError, match=r"LLM_KEY .* is not set .* spark\.executorEnv\.LLM_KEY"):
        ask(FakeEndpoint(reply()), key_variable="LLM_KEY")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_a_server_that_is_busy_or_fails_is_asked_again(status: int) -> None:
    endpoint = FakeEndpoint(reply(status, "busy"), reply(status, "busy"), reply())
    assert ask(endpoint)[0].text == "keep"
    assert len(endpoint.requests) == 3


def test_a_server_that_stays_busy_ends_the_task_by_name() -> None:
    endpoint = FakeEndpoint(reply(429, {"error": {"message": "quota"}}))
    with pytest.raises(EndpointError, match=r"no answer in 3 tries .* 429: quota\. .* engine\.max_num_seqs"):
        ask(endpoint, tries=3)
    assert len(endpoint.requests) == 3


def test_a_server_that_is_not_there_ends_the_task_by_name() -> None:
    async def main() -> None:
        async with asking("http://127.0.0.1:9/v1", tries=2) as session:
            await session.ask([1])

    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9/v1 gave no answer in 2 tries"):
        asyncio.run(main())


def test_the_server_says_how_long_to_wait() -> None:
    endpoint = FakeEndpoint(reply(429, "busy", Retry_After="1"), reply())
    ask(endpoint)
    assert endpoint.times[1] - endpoint.times[0] >= 1


def test_what_the_server_says_to_one_request_holds_for_those_that_follow() -> None:
    endpoint = FakeEndpoint(reply(429, "busy", Retry_After="1"), reply())

    async def main() -> None:
        async with endpoint.server() as server, asking(server.make_url("/v1")) as session:
            first = asyncio.create_task(session.ask([1]))
            await wait_in_loop(lambda: session._not_before, "the first request was told to wait")
            await asyncio.gather(first, session.ask([2]))

    asyncio.run(main())
    assert min(endpoint.times[1:]) - endpoint.times[0] >= 1


@pytest.mark.parametrize("n_tries", range(1, 12))
def test_waits_double_up_to_a_minute_with_jitter(n_tries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_WAIT_SECONDS", 0.5)
    longest = min(0.5 * 2 ** (n_tries - 1), 60)
    waits = [choose_wait_seconds(n_tries) for _ in range(50)]
    assert longest / 2 <= min(waits) < max(waits) <= longest


def test_a_date_to_come_back_at_is_understood() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 85 < choose_wait_seconds(1, date) <= 90


@pytest.mark.parametrize("nonsense", ["soon", "-5", "Tue, 99 Foo"])
def test_a_date_that_is_none_is_ignored(nonsense: str) -> None:
    assert choose_wait_seconds(1, nonsense) <= 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_ends_the_task_and_is_not_told(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", KEY)
    endpoint = FakeEndpoint(reply(status, {"error": {"message": f"Incorrect API key provided: {KEY}"}}))
    with pytest.raises(EndpointError, match="LLM_KEY") as caught:
        ask(endpoint, key_variable="LLM_KEY")
    assert KEY not in str(caught.value) and len(endpoint.requests) == 1


@pytest.mark.parametrize("status", [302, 404])
def test_a_wrong_model_or_url_ends_the_task_and_says_what_to_change(status: int) -> None:
    endpoint = FakeEndpoint(reply(status, {"error": {"message": "no such model"}}, Location="http://127.0.0.1:9/"))
    with pytest.raises(EndpointError, match=r"some-model.*no such model.*engine\.endpoint_model"):
        ask(endpoint)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("body", ["<html>Log in</html>", [], {"choices": []}, {"choices": [{"message": {}}]}], ids=str)
def test_an_answer_that_is_no_completion_ends_the_task_by_name(body: Any) -> None:
    with pytest.raises(EndpointError, match="something else than a completion"):
        ask(FakeEndpoint(reply(200, body)))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_prompt_is_a_row(status: int) -> None:
    (answer,) = ask(FakeEndpoint(reply(status, {"error": {"message": "too long"}})))
    assert (answer.error_code, answer.error_message) == (ReasonCode.REQUEST_REFUSED, f"{status}: too long")


def test_a_server_that_refuses_every_prompt_is_named_instead_of_quarantining_all() -> None:
    with pytest.raises(
        EndpointError, match=r"refused the first 16 prompts or gave no answer, the last with '400: unknown field'"
    ):
        ask(FakeEndpoint(reply(400, {"error": {"message": "unknown field"}})), n=40)


def test_a_prompt_that_the_server_fails_on_while_it_answers_others_is_a_row() -> None:
    async def main() -> list[Answer]:
        async with endpoint.server() as server, asking(server.make_url("/v1"), tries=2) as session:
            failing = asyncio.create_task(session.ask([1]))
            await wait_in_loop(lambda: endpoint.requests, "the first request has arrived")
            answered = await session.ask([2])
            return [await failing, answered]

    # The first try of the failing prompt, the other prompt, the second try of the failing one.
    endpoint = FakeEndpoint(reply(500, "boom"), reply(), reply(500, "boom"))
    failed, answered = asyncio.run(main())
    assert (failed.error_code, failed.error_message) == (ReasonCode.REQUEST_TIMEOUT, "500: boom"), (
        "another run asks again"
    )
    assert answered.text == "keep"


def test_a_server_that_went_away_after_it_had_answered_others_ends_the_task() -> None:
    async def main() -> None:
        async with endpoint.server() as server, asking(server.make_url("/v1"), tries=2) as session:
            waiting = asyncio.create_task(session.ask([1]))
            await wait_in_loop(lambda: endpoint.requests, "the first request has arrived")
            await session.ask([2])
            await waiting

    # Busy for the first prompt, an answer to the second, then gone.
    endpoint = FakeEndpoint(reply(429, "busy"), reply(), reply(503, "gone"))
    with pytest.raises(EndpointError, match=r"no answer in 2 tries .* 503: gone"):
        asyncio.run(main())


def test_a_server_that_takes_prompts_and_answers_none_ends_the_task() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.read()  # until the client goes

    async def main() -> None:
        async with await asyncio.start_server(silent, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            async with asking(f"http://127.0.0.1:{port}/v1", request_seconds=0.2) as session:
                await asyncio.gather(*(session.ask([number]) for number in range(20)))

    with pytest.raises(EndpointError, match=r"first 16 prompts or gave no answer, .* engine\.request_seconds = 0\.2 s"):
        asyncio.run(main())


def test_a_login_in_the_url_is_not_told() -> None:
    async def main() -> None:
        async with asking("http://me:hunter2@127.0.0.1:9/v1", tries=1) as session:
            await session.ask([1])

    with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9/v1") as caught:
        asyncio.run(main())
    assert "hunter2" not in str(caught.value)


def test_the_key_wins_over_a_login_for_any_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("LLM_KEY", KEY)
    endpoint = FakeEndpoint(reply())
    ask(endpoint, key_variable="LLM_KEY")
    assert endpoint.requests[0][0].headers["Authorization"] == f"Bearer {KEY}"


def test_a_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = FakeEndpoint(reply())

    async def main() -> None:
        async with endpoint.server() as server:
            monkeypatch.setenv("http_proxy", str(server.make_url("")))
            monkeypatch.setenv("no_proxy", "nearby.invalid")
            for host in ("llm.invalid", "me:pw@nearby.invalid:8000"):
                async with asking(f"http://{host}/v1", tries=1) as session:
                    await session.ask([1])

    with pytest.raises(EndpointError, match=r"nearby\.invalid:8000/v1 gave no answer"):
        asyncio.run(main())
    assert [request.headers["Host"] for request, _ in endpoint.requests] == ["llm.invalid"]


def test_a_refusal_is_stored_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", KEY)
    (answer,) = ask(FakeEndpoint(reply(400, "x" * 290 + KEY)), key_variable="LLM_KEY")
    assert answer.error_message and KEY[:5] not in answer.error_message


def test_a_wait_of_a_day_is_cut() -> None:
    assert choose_wait_seconds(1, "86400") == 300


@pytest.mark.parametrize("key", [KEY, "dapi0123456789abcdef"])
def test_a_key_in_the_place_of_its_variable_is_refused(key: str) -> None:
    with pytest.raises(RecipeError, match="endpoint_key_variable"):
        Recipe.parse({"engine": {"endpoint_key_variable": key}})


def test_a_url_with_a_password_is_stored_without_it() -> None:
    recipe = Recipe.parse({"engine": {"endpoint": f"https://user:{KEY}@llm.example.org/v1"}})
    assert KEY not in json.dumps(recipe.redact())


@pytest.mark.parametrize(
    ("config", "model"),
    [
        ({}, "refiner-a"),
        ({"endpoint_model": "b"}, "b"),
        ({"endpoint_model": {"doc": "c", "chunk": "d"}}, "d"),
        ({"endpoint_model": {"doc": "c"}}, "refiner-a"),
    ],
    ids=str,
)
def test_the_model_is_the_refiner_unless_the_recipe_says_otherwise(config: dict[str, Any], model: str) -> None:
    endpoint = Endpoint.of(EngineConfig(endpoint="https://llm.example.org/v1/", **config), "chunk", "refiner-a")
    assert endpoint and (endpoint.url, endpoint.model) == ("https://llm.example.org/v1", model)


def test_the_generate_stage_asks_the_endpoint_and_starts_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It also does without what an engine needs: a short path for a socket, and as many GPUs as it uses."""
    runtime = tmp_path / ("long" * 25)
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(runtime))
    monkeypatch.setattr("prox_spark.engine.spec.read_assigned_gpus", lambda: ["0", "1"])
    monkeypatch.setattr("prox_spark.udfs.generate.connect", lambda *_: pytest.fail("an engine was asked for"))
    endpoint = FakeEndpoint(reply())
    columns = {"generation_key": [str(n) for n in range(20)], "token_ids": [[n] for n in range(20)]}
    schema = pa.schema([("generation_key", pa.string()), ("token_ids", pa.list_(pa.int32()))])

    def rows(url: str) -> Iterator[dict[str, Any]]:
        config = EngineConfig(endpoint=url, device="cuda")
        udf = Generate(EngineSpec(find("web-135m"), config), json.dumps({"max_tokens": 4}))
        for batch in udf(iter([pa.RecordBatch.from_pydict(columns, schema=schema)])):
            yield from batch.to_pylist()

    async def main() -> list[dict[str, Any]]:
        async with endpoint.server() as server:
            return await asyncio.to_thread(lambda: list(rows(str(server.make_url("/v1")))))

    answered = asyncio.run(main())
    assert len(answered) == 20 and {row["output_text"] for row in answered} == {"keep"}
    assert {row["engine_id"] for row in answered} == {None}
    assert {body["model"] for _, body in endpoint.requests} == {"web-135m"}
    (root,) = runtime.iterdir()
    assert [path.name for path in root.iterdir()] == ["endpoints.lock"], "a directory is left"
