"""A FAKE of an engine's server, for fault injection and for speed. It has no model, see `answer`.

With this folder's root (`tests/support/fake_engine`) first on PYTHONPATH the resident engine starts this server instead of
vLLM, with the same command line: it takes over where vLLM is imported. It is ready and answers at once, unless FAKE_ENGINE, a
JSON object, says otherwise:

    latency         seconds per request (0)
    start_seconds   before it listens (0)
    start           "ready"; "hang": never listens; "die": exits at once; "memory": dies like a server out of memory
    poison          a token id; a prompt that holds it kills the server
    hang            a token id; after a prompt that holds it no prompt is answered, while the health check still passes
    refuses_adapters  true: every adapter is refused (false)
    ledger          file to which every answered prompt is appended (none)
    children        number of processes that it starts, as vLLM starts its engine core on a GPU (1); like vLLM, it dies when
                    one of them dies
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import re
import select
import selectors
import sys
import threading
import time
from typing import Any

import orjson

DEFAULTS = {
    "latency": 0.0,
    "start_seconds": 0.0,
    "start": "ready",
    "poison": None,
    "hang": None,
    "children": 1,
    "refuses_adapters": False,
    "ledger": None,
}


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """Answer by the prompt alone.

    The answer is a verdict for the document stage, one of several choices, or else removal of line 0 or of nothing.
    """
    prompt = body["prompt"]
    # Spaced as json writes it, because other bytes would give other answers than tests count on.
    number = int.from_bytes(hashlib.sha256(orjson.dumps(prompt).replace(b",", b", ")).digest()[:4], "big")
    choice: dict[str, Any] = {"text": "keep_chunk()", "finish_reason": "stop", "logprobs": None}
    if number % 2:
        choice["text"] = "remove_lines(line_start=0, line_end=0)"
    if choices := body.get("structured_outputs", {}).get("choice"):
        choice["text"] = choices[number % len(choices)]
    if ids := body.get("allowed_token_ids"):
        # The ids are keep and drop, in this order. One document in eight is dropped.
        likely = 0 if number % 8 else 1
        scores = {f"token_id:{token}": -0.1 if i == likely else -2.4 for i, token in enumerate(ids)}
        choice |= {"text": "", "finish_reason": "length", "logprobs": {"top_logprobs": [scores]}}
    # FAKE figures: there is no cache and no queue.
    cached = {"cached_tokens": len(prompt) // 4}
    usage = {"prompt_tokens": len(prompt), "completion_tokens": 1, "prompt_tokens_details": cached}
    return {"choices": [choice], "usage": usage, "metrics": {"queue_time_ms": 250.0}}


class FakeServer:
    """The routes /v1/completions, /health, /metrics and /v1/load_lora_adapter.

    Its HTTP is minimal, so that benchmarks do not measure the fake.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.totals = dict.fromkeys(("request_success_total", "prompt_tokens_total", "generation_tokens_total"), 0)
        self.n_running = 0
        self.hangs = False
        self.models = {"refiner"}

    def complete(self, body: dict[str, Any]) -> bytes:
        if self.settings["poison"] in body["prompt"]:
            print("FATAL: fake engine was given its poison", flush=True)
            os._exit(139)
        self.hangs |= self.settings["hang"] in body["prompt"]
        return orjson.dumps(answer(body))

    def load(self, body: dict[str, Any]) -> tuple[bytes, bytes]:
        """Load an adapter, which is any folder with an adapter_config.json."""
        name, path = body["lora_name"], body["lora_path"]
        if self.settings["refuses_adapters"]:
            return b"500 Internal Server Error", b"ValueError: fake engine was told to refuse it"
        if not os.path.exists(os.path.join(path, "adapter_config.json")):
            return b"404 Not Found", b"no adapter found for " + path.encode()
        self.models.add(name)
        return b"200 OK", b"Success"

    def count(self, body: dict[str, Any]) -> None:
        self.totals["request_success_total"] += 1
        self.totals["prompt_tokens_total"] += len(body["prompt"])
        self.totals["generation_tokens_total"] += 1
        if self.settings["ledger"]:  # a file, for what engines before and after a kill have answered together
            with open(self.settings["ledger"], "ab") as ledger:
                ledger.write(orjson.dumps(body["prompt"]) + b"\n")

    def metrics(self) -> bytes:
        lines = [f'vllm:{name}{{model_name="refiner"}} {value:.1f}' for name, value in self.totals.items()]
        lines += [f"prox_spark:requests_in_flight {self.n_running:.1f}"]
        return ("\n".join(lines) + "\n").encode()

    async def serve(self, path: str) -> None:
        server = await asyncio.get_running_loop().create_unix_server(lambda: FakeConnection(self), path)
        await server.serve_forever()


class FakeConnection(asyncio.Protocol):
    """A connection with one request after the other. Like vLLM, it gives a request up when the connection is lost."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.received = b""
        self.waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end_of_head, content = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not end_of_head or (length and len(content) < int(length[1])):
            return
        self.received = b""
        path = head.split(b" ", 2)[1]
        if path == b"/v1/completions":
            due = asyncio.get_running_loop().time() + self.server.settings["latency"]
            body = orjson.loads(content)
            if body.get("model", "refiner") not in self.server.models:  # without a name it is the base, as in vLLM
                self.respond(b"404 Not Found", b"{}")
                return
            answered = self.server.complete(body)
            self.server.n_running += 1
            self.waiting = asyncio.get_running_loop().call_at(due, self.answer, body, answered)
        elif path == b"/v1/load_lora_adapter":
            self.respond(*self.server.load(json.loads(content)))
        else:
            known = {b"/health": b"", b"/metrics": self.server.metrics()}
            self.respond(b"200 OK" if path in known else b"404 Not Found", known.get(path, b""))

    def answer(self, body: dict[str, Any], answered: bytes) -> None:
        if self.server.hangs:
            return
        self.waiting = None
        self.server.n_running -= 1
        self.server.count(body)
        self.respond(b"200 OK", answered)

    def respond(self, status: bytes, content: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(content), content))

    def connection_lost(self, _: Exception | None) -> None:
        if self.waiting:
            self.waiting.cancel()
            self.server.n_running -= 1


class PreciseSelector(selectors.EpollSelector):
    """A selector with exact timeouts.

    epoll rounds up to whole milliseconds, which a benchmark would count as the client's time.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            select.select([self.fileno()], [], [], timeout)
        return super().select(0)


def die_with(children: list[multiprocessing.process.BaseProcess]) -> None:
    multiprocessing.connection.wait([child.sentinel for child in children])
    print("FATAL: a child of the fake engine died", flush=True)
    os._exit(1)


def main() -> None:
    """Serve, with the server's arguments, of which only --uds is used."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--uds", required=True)
    arguments, _ = parser.parse_known_args()
    settings = DEFAULTS | json.loads(os.environ.get("FAKE_ENGINE", "{}"))
    print(f"fake engine, {settings}", flush=True)
    if settings["start"] == "die":
        sys.exit("ValueError: fake engine was told to die at once")
    if settings["start"] == "memory":
        sys.exit("torch.OutOfMemoryError: fake engine was told to run out of memory")
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=time.sleep, args=(86_400,), daemon=True) for _ in range(settings["children"])]
    for child in children:
        child.start()
    if children:
        threading.Thread(target=die_with, args=(children,), daemon=True).start()
    time.sleep(86_400 if settings["start"] == "hang" else settings["start_seconds"])
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(PreciseSelector())) as runner:
        runner.run(FakeServer(settings).serve(arguments.uds))
