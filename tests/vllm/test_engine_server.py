"""What the engine's server makes of requests and of answers. vLLM is imported and no engine started."""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from prox_spark.engine.wire.connections import BrokenConnection, Connections

pytestmark = pytest.mark.engine


class FakeLoop:
    """Ends each answer as its prompt's first token says."""

    n_in_flight = 0

    async def generate(self, prompt: Any, parameters: Any, adapter: Any) -> Any:
        how = ("stop", "length", "error", "abort")[prompt["prompt_token_ids"][0]]
        choice = SimpleNamespace(text="keep_chunk()", finish_reason=how, token_ids=[1], logprobs=None)
        return SimpleNamespace(outputs=[choice], prompt_token_ids=[0], num_cached_tokens=0, metrics=None)


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    """Of the server, one for all tests: its metrics are those of its process. It listens as `serve` has it listen."""
    from prox_spark.engine.process.server import Server, listen

    http = uvloop.new_event_loop()
    thread = threading.Thread(target=http.run_forever, name="http", daemon=True)
    thread.start()
    # Not pytest's folder, whose path may be longer than the 107 bytes that a socket's may have.
    with tempfile.TemporaryDirectory(prefix="server-") as folder:
        server = Server(FakeLoop(), "refiner", {})  # type: ignore[arg-type]
        listening = asyncio.run_coroutine_threadsafe(listen(server, f"{folder}/s"), http).result()
        yield f"{folder}/s"
        asyncio.run_coroutine_threadsafe(listening.cleanup(), http).result()
    http.call_soon_threadsafe(http.stop)
    thread.join()
    http.close()


def post(socket: str, prompt: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer to a request on a connection of its own."""

    async def ask() -> tuple[int, bytes]:
        connections = Connections(socket)
        try:
            body = json.dumps({"model": "refiner", "prompt": prompt, **more}).encode()
            return await connections.post("/v1/completions", body)
        finally:
            connections.close()

    status, content = asyncio.run(ask())
    return status, json.loads(content)


@pytest.mark.parametrize(("first_token", "how"), [(0, "stop"), (1, "length")])
def test_what_ended_as_it_should_is_an_answer(first_token: int, how: str, socket: str) -> None:
    status, content = post(socket, [first_token])
    assert (status, content["choices"][0]["finish_reason"]) == (200, how)


def test_an_answer_that_ended_in_an_error_is_one(socket: str) -> None:
    status, content = post(socket, [2])
    assert status == 500 and "'error'" in content["error"]["message"]


def test_an_answer_that_was_cut_off_breaks_the_connection_so_that_it_is_asked_again(socket: str) -> None:
    with pytest.raises(BrokenConnection):
        post(socket, [3])


@pytest.mark.parametrize("more", [{"n": 2}, {"stream": True}], ids=str)
def test_other_than_one_answer_in_one_piece_is_refused(more: dict[str, Any], socket: str) -> None:
    assert post(socket, [0], **more)[0] == 400


@pytest.mark.parametrize("prompt", ["text", None, 1, {}, [-1], [1.0], ["1"], [[1]], [2**40], [2**70]], ids=str)
def test_a_prompt_that_is_no_list_of_token_ids_is_refused(prompt: Any, socket: str) -> None:
    status, content = post(socket, prompt)
    assert status == 400 and "no list of token ids" in content["error"]["message"]


def test_a_server_that_nobody_is_connected_to_outlives_a_garbage_collection(socket: str) -> None:
    gc.collect()
    assert post(socket, [0])[0] == 200
