"""The server of a resident engine: vLLM in one process, behind the routes of OpenAI's completions API that we use.

Run with `--uds SOCKET` and arguments of vLLM's engine. vLLM's own server is two processes, each of which imports vLLM
when it starts, and each request pays for its web framework and for the way between the processes. Here vLLM's
`LLMEngine` runs in the main thread, as `LLM.generate` runs it, and HTTP in another thread. (On a GPU vLLM runs
scheduler and model in a process of their own, as it does for `LLM.generate`.) Measured on two cores with a tiny random
model: ready after 16 s, not 28, and a fifth more tokens per second.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import resource
import sys
import threading
import time
import traceback
from array import array
from collections.abc import Sequence
from functools import lru_cache, partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import orjson
import prometheus_client
import uvloop
from aiohttp import web
from vllm import envs
from vllm.engine.arg_utils import EngineArgs
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.exceptions import VLLMError
from vllm.inputs.engine import tokens_input
from vllm.lora.request import LoRARequest
from vllm.outputs import RequestOutput
from vllm.sampling_params import SamplingParams
from vllm.usage.usage_lib import UsageContext
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.utils.gc_utils import freeze_gc_heap
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.engine.llm_engine import LLMEngine

from prox_spark.engine.process.engine_loop import EngineLoop, Refusal

# Limit on a request's body, enough for a prompt of a million tokens.
_MAX_BODY_BYTES = 2**24
_EXIT_CODE_SECONDS = 5.0
# All connections of a window may come at once.
_BACKLOG = 2048
# OpenAI's least log probability: JSON has no infinity.
_LEAST_LOG_PROBABILITY = -9999.0


def main() -> None:
    """Serve until the engine fails."""
    parser = EngineArgs.add_cli_args(FlexibleArgumentParser(description=__doc__))
    parser.add_argument("--uds", required=True, metavar="SOCKET", help="path of the Unix socket to listen on")
    arguments = parser.parse_args()
    if max(arguments.data_parallel_size, envs.VLLM_DP_SIZE) > 1:
        parser.error(
            "--data-parallel-size or VLLM_DP_SIZE: an engine is one; give executors several GPUs, or hosts several executors, for more"
        )
    try:
        serve(EngineArgs.from_cli_args(arguments), arguments.uds)
    except Exception:
        traceback.print_exc()
    os._exit(1)  # at once, without waiting for vLLM's threads and processes, so that clients notice


def serve(arguments: EngineArgs, path: str) -> None:
    """Start an engine and serve it on a Unix socket until the engine fails, and raise its exception."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # a connection for each request in flight
    engine = LLMEngine.from_engine_args(arguments, UsageContext.LLM_CLASS)
    threading.Thread(target=die_with, args=(multiprocessing.active_children(),), name="watch", daemon=True).start()
    http = uvloop.new_event_loop()
    threading.Thread(target=http.run_forever, name="http", daemon=True).start()
    loop = EngineLoop(engine, http, fatal=EngineDeadError)
    server = Server(loop, engine.model_config.served_model_name, engine.model_config.get_diff_sampling_param())
    _listening = asyncio.run_coroutine_threadsafe(listen(server, path), http).result()
    # As vLLM's own servers do: a collection over all objects of the start holds up every request for 0.4 s.
    freeze_gc_heap()
    loop.run()


def die_with(processes: Sequence[BaseProcess]) -> None:
    """End this process when one of vLLM's ends; return if there are none.

    vLLM 0.32's `step` would wait for its answers for ever.
    """
    if processes and wait([process.sentinel for process in processes]):
        # The sentinel fires before the exit code is readable, and vLLM's watcher reads it too.
        deadline = time.monotonic() + _EXIT_CODE_SECONDS
        while not (failed := {p.name: p.exitcode for p in processes if p.exitcode is not None}):
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        # The text that vLLM writes when a start fails.
        print(f"Failed core proc(s): {failed}", file=sys.stderr, flush=True)
        os._exit(1)


async def listen(server: Server, path: str) -> web.AppRunner:
    """Start serving on a Unix socket.

    Keep a reference to the returned runner while it serves, because uvloop keeps none.
    """
    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    application.add_routes(
        [
            web.post("/v1/completions", server.complete),
            web.post("/v1/load_lora_adapter", server.load_adapter),
            web.get("/health", server.health),
            web.get("/metrics", server.metrics),
        ]
    )
    # Handlers are cancelled when their client disconnects, so that its request also ends in the engine.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.UnixSite(runner, path, backlog=_BACKLOG).start()
    return runner


class Server:
    """The handlers of the routes.

    Args:
        loop: the loop of the engine.
        name: name of the model.
        defaults: sampling parameters where a request gives none.
    """

    def __init__(self, loop: EngineLoop, name: str, defaults: dict[str, Any]) -> None:
        self._loop = loop
        # All requests of a stage have the same parameters.
        self._sampling = lru_cache(maxsize=64)(partial(_build_sampling, defaults=defaults))
        self._adapters: dict[str, LoRARequest | None] = {name: None}
        # Never used twice: 0 is the base, and the id of an adapter whose load was broken off may be in use.
        self._adapter_ids = itertools.count(1)
        self._loading = asyncio.Lock()
        in_flight = prometheus_client.Gauge("prox_spark:requests_in_flight", "Requests that wait for their answer.")
        in_flight.set_function(lambda: loop.n_in_flight)
        self._refused = prometheus_client.Counter("prox_spark:requests_refused", "Requests that vLLM did not take.")

    async def complete(self, request: web.Request) -> web.Response:
        """Answer OpenAI's completions route for one prompt of token ids, with the fields that `read_answer` reads."""
        body = orjson.loads(await request.read())
        model, prompt = body.pop("model"), body.pop("prompt")
        if model not in self._adapters:
            return _build_error(404, f"no model or adapter {model!r} is loaded")
        if not _are_token_ids(prompt):
            return _build_error(400, "the prompt is no list of token ids")
        if body.get("stream") or body.get("n", 1) != 1:
            return _build_error(400, "a request has one answer here, in one piece")
        try:
            parameters = self._sampling(orjson.dumps(body))
            output = await self._loop.generate(tokens_input(prompt), parameters, self._adapters[model])
        except Refusal as error:
            self._refused.inc()
            return _build_error(400, str(error))
        except (VLLMError, ValueError) as error:
            return _build_error(400, str(error))
        how = output.outputs[0].finish_reason
        if how in ("stop", "length"):
            return web.json_response(_build_completion(output))
        if how == "abort" and request.transport:  # a core that is ending aborts; the client must ask the next engine
            request.transport.abort()
        return _build_error(500, f"vLLM ended the answer with {how!r}, see the engine's log")

    async def load_adapter(self, request: web.Request) -> web.Response:
        """Load an adapter and serve it as a model. An adapter that is loaded already stays."""
        body = await request.json()
        name = body["lora_name"]
        async with self._loading:
            if name not in self._adapters:
                adapter = LoRARequest(name, next(self._adapter_ids), body["lora_path"])
                try:
                    await self._loop.call(lambda engine: engine.add_lora(adapter))
                except Exception as error:  # vLLM raises many kinds about an adapter's files
                    return _build_error(400, f"{type(error).__name__}: {error}")
                self._adapters[name] = adapter
        return web.Response()

    async def health(self, _: web.Request) -> web.Response:
        """Answer that the server runs. Only the counters show whether the engine makes progress."""
        return web.Response()

    async def metrics(self, _: web.Request) -> web.Response:
        """Return vLLM's and our metrics in Prometheus' format."""
        text = prometheus_client.generate_latest()
        return web.Response(body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})


def _are_token_ids(prompt: object) -> bool:
    """Return True for a list of integers from 0 on. An array checks them in a sixth of the time of a loop in Python."""
    if not isinstance(prompt, list):
        return False
    try:
        array("I", prompt)
    except (TypeError, OverflowError):
        return False
    return True


def _build_sampling(parameters: bytes, defaults: dict[str, Any]) -> SamplingParams:
    """Build sampling parameters from a request's JSON.

    Raises:
        ValueError: a parameter is not usable.
    """
    request = CompletionRequest.model_validate({"prompt": [0], **orjson.loads(parameters)})
    if request.max_tokens is None:
        raise ValueError("max_tokens is null: give a number, or leave it out for OpenAI's default")
    return request.to_sampling_params(request.max_tokens, defaults)


def _build_completion(output: RequestOutput) -> dict[str, Any]:
    [choice] = output.outputs
    top = None
    if choice.logprobs:
        top = [
            {f"token_id:{token}": max(told.logprob, _LEAST_LOG_PROBABILITY) for token, told in of.items()}
            for of in choice.logprobs
        ]
    content: dict[str, Any] = {
        "text": choice.text,
        "finish_reason": choice.finish_reason,
        "logprobs": top and {"top_logprobs": top},
    }
    usage = {
        "prompt_tokens": len(output.prompt_token_ids or ()),
        "completion_tokens": len(choice.token_ids),
        "prompt_tokens_details": {"cached_tokens": output.num_cached_tokens},
    }
    times = output.metrics
    queued = {"queue_time_ms": (times.scheduled_ts - times.queued_ts) * 1000} if times else None
    return {"choices": [content], "usage": usage, "metrics": queued}


def _build_error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)
