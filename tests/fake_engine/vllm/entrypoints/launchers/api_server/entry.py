"""A FAKE of vLLM's OpenAI-compatible server, for fault injection and for speed. It is no model: see `answer`.

With this folder's root (`tests/fake_engine`) first on PYTHONPATH the resident engine starts this server instead of vLLM, by the
same command line. It is ready at once and answers in no time, unless FAKE_ENGINE, a JSON object, says otherwise:

    latency         seconds per request (0)
    start_seconds   before it listens (0)
    start           "ready"; "hang": never listens; "die": exits at once; "memory": dies like a server out of memory
    poison          a token id; a prompt that holds it kills the server
    children        processes that it starts, as vLLM starts its engine core (1)
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import os
import sys
import time
from typing import Any

from aiohttp import web

DEFAULTS = {"latency": 0.0, "start_seconds": 0.0, "start": "ready", "poison": None, "children": 1}


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """Depends on the prompt alone: a verdict for the document stage, for the chunk stage removal of its first line or none."""
    prompt = body["prompt"]
    number = int.from_bytes(hashlib.sha256(json.dumps(prompt).encode()).digest()[:4], "big")
    choice: dict[str, Any] = {"text": "keep_chunk()", "finish_reason": "stop", "logprobs": None}
    if number % 2:
        choice["text"] = "remove_lines(line_start=0, line_end=0)"
    if ids := body.get("allowed_token_ids"):
        # Keep and drop, in this order; one document in eight is dropped.
        likely = 0 if number % 8 else 1
        scores = {f"token_id:{token}": -0.1 if i == likely else -2.4 for i, token in enumerate(ids)}
        choice |= {"text": "", "finish_reason": "length", "logprobs": {"top_logprobs": [scores]}}
    # A FAKE cache and a FAKE queue: neither is there.
    cached = {"cached_tokens": len(prompt) // 4}
    usage = {"prompt_tokens": len(prompt), "completion_tokens": 1, "prompt_tokens_details": cached}
    return {"choices": [choice], "usage": usage, "metrics": {"queue_time_ms": 250.0}}


class FakeServer:
    """Answers /v1/completions, /health and /metrics."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.totals = dict.fromkeys(("request_success_total", "prompt_tokens_total", "generation_tokens_total"), 0)
        self.n_running = 0

    async def complete(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.settings["poison"] in body["prompt"]:
            print("FATAL: fake engine was given its poison", flush=True)
            os._exit(139)
        self.n_running += 1
        try:
            await asyncio.sleep(self.settings["latency"])
        finally:
            self.n_running -= 1
        answered = answer(body)
        self.totals["request_success_total"] += 1
        self.totals["prompt_tokens_total"] += answered["usage"]["prompt_tokens"]
        self.totals["generation_tokens_total"] += answered["usage"]["completion_tokens"]
        return web.json_response(answered)

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def metrics(self, _: web.Request) -> web.Response:
        lines = [f'vllm:{name}{{model_name="refiner"}} {value:.1f}' for name, value in self.totals.items()]
        lines += [f'vllm:num_requests_running{{model_name="refiner"}} {self.n_running:.1f}']
        return web.Response(text="\n".join(lines) + "\n")

    def application(self) -> web.Application:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/completions", self.complete)
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.metrics)
        return app


def main() -> None:
    """Takes vLLM's arguments and heeds --uds."""
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
    for _ in range(settings["children"]):
        context.Process(target=time.sleep, args=(86_400,), daemon=True).start()
    time.sleep(86_400 if settings["start"] == "hang" else settings["start_seconds"])
    # As vLLM does: a request whose connection is gone is given up.
    app = FakeServer(settings).application()
    web.run_app(app, path=arguments.uds, print=None, access_log=None, handler_cancellation=True)
