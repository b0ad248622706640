"""The server of a resident engine: vLLM in one process, behind those routes of OpenAI's completions API that we ask.

Run with `--uds SOCKET` and arguments of vLLM's engine. vLLM's own server is two processes, each of which imports vLLM when it
starts, and each request pays for its web framework and for the way from one to the other. Here vLLM's `LLMEngine` runs in the main
thread, as `LLM.generate` runs it, and HTTP in another. (On a GPU vLLM gives scheduler and model a process of their own, as it does
for `LLM.generate`.) Measured on two cores with a tiny random model: ready after 16 s, not 28, and a fifth more tokens per second.
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

# Of a request: prompts of a million tokens.
_MAX_BODY_BYTES = 2**24
_EXIT_CODE_SECONDS = 5.0
# A window's connections come all at once.
_BACKLOG = 2048
# OpenAI's least log probability: JSON has no infinity.
_LEAST_LOG_PROBABILITY = -9999.0


def main() -> None:
    """Serves until the engine fails."""
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
    os._exit(1)  # at once, whatever vLLM's threads and processes still wait for: those who ask are to notice


def serve(arguments: EngineArgs, path: str) -> None:
    """Starts an engine and answers on a Unix socket until the engine fails, with what it raises."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # a connection for each request in flight
    engine = LLMEngine.from_engine_args(arguments, UsageContext.LLM_CLASS)
    threading.Thread(target=die_with, args=(multiprocessing.active_children(),), name="watch", daemon=True).start()
    http = uvloop.new_event_loop()
    threading.Thread(target=http.run_forever, name="http", daemon=True).start()
    loop = EngineLoop(engine, http, fatal=EngineDeadError)
    server = Server(loop, engine.model_config.served_model_name, engine.model_config.get_diff_sampling_param())
    _listening = asyncio.run_coroutine_threadsafe(listen(server, path), http).result()
    freeze_gc_heap()  # as vLLM's own servers do: to look through all that a start leaves holds up every request for 0.4 s
    loop.run()


def die_with(processes: Sequence[BaseProcess]) -> None:
    """Ends this process when one of vLLM's does; without any it returns. vLLM 0.32's `step` would wait for its answers for ever."""
    if processes and wait([process.sentinel for process in processes]):
        # It has gone before it can be asked how, and vLLM's own watch asks at the same moment.
        deadline = time.monotonic() + _EXIT_CODE_SECONDS
        while not (failed := {p.name: p.exitcode for p in processes if p.exitcode is not None}):
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        print(f"Failed core proc(s): {failed}", file=sys.stderr, flush=True)  # as vLLM says it of a start
        os._exit(1)


async def listen(server: Server, path: str) -> web.AppRunner:
    """Serves on a Unix socket from now on, for as long as what it returns is held: uvloop leaves that to its caller."""
    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    application.add_routes(
        [
            web.post("/v1/completions", server.complete),
            web.post("/v1/load_lora_adapter", server.load_adapter),
            web.get("/health", server.health),
            web.get("/metrics", server.metrics),
        ]
    )
    # Cancelled when the client has gone: its request then ends in the engine, too.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.UnixSite(runner, path, backlog=_BACKLOG).start()
    return runner


class Server:
    """What the routes answer.

    Args:
        loop: the engine.
        name: of the model.
        defaults: of sampling, where a request says nothing.
    """

    def __init__(self, loop: EngineLoop, name: str, defaults: dict[str, Any]) -> None:
        self._loop = loop
        self._sampling = lru_cache(maxsize=64)(partial(_sampling, defaults=defaults))  # a stage's are all alike
        self._adapters: dict[str, LoRARequest | None] = {name: None}
        self._adapter_ids = itertools.count(1)  # 0 is the base; one whose load was broken off may be taken
        self._loading = asyncio.Lock()
        in_flight = prometheus_client.Gauge("prox_spark:requests_in_flight", "Requests that wait for their answer.")
        in_flight.set_function(lambda: loop.n_in_flight)
        self._refused = prometheus_client.Counter("prox_spark:requests_refused", "Requests that vLLM did not take.")

    async def complete(self, request: web.Request) -> web.Response:
        """OpenAI's completions for one prompt of token ids. Of its answer what `read_answer` reads."""
        body = orjson.loads(await request.read())
        model, prompt = body.pop("model"), body.pop("prompt")
        if model not in self._adapters:
            return _error(404, f"no model or adapter {model!r} is loaded")
        if not _are_token_ids(prompt):
            return _error(400, "the prompt is no list of token ids")
        if body.get("stream") or body.get("n", 1) != 1:
            return _error(400, "a request has one answer here, in one piece")
        try:
            parameters = self._sampling(orjson.dumps(body))
            output = await self._loop.generate(tokens_input(prompt), parameters, self._adapters[model])
        except Refusal as error:
            self._refused.inc()
            return _error(400, str(error))
        except (VLLMError, ValueError) as error:
            return _error(400, str(error))
        how = output.outputs[0].finish_reason
        if how in ("stop", "length"):
            return web.json_response(_completion(output))
        if how == "abort" and request.transport:  # by a core that is ending: the next engine is to be asked
            request.transport.abort()
        return _error(500, f"vLLM ended the answer with {how!r}, see the engine's log")

    async def load_adapter(self, request: web.Request) -> web.Response:
        """Makes an adapter known as a model; one that is known already stays."""
        body = await request.json()
        name = body["lora_name"]
        async with self._loading:
            if name not in self._adapters:
                adapter = LoRARequest(name, next(self._adapter_ids), body["lora_path"])
                try:
                    await self._loop.call(lambda engine: engine.add_lora(adapter))
                except Exception as error:  # anything that vLLM finds in the adapter's files
                    return _error(400, f"{type(error).__name__}: {error}")
                self._adapters[name] = adapter
        return web.Response()

    async def health(self, _: web.Request) -> web.Response:
        """It answers; whether the engine gets on, its counters say."""
        return web.Response()

    async def metrics(self, _: web.Request) -> web.Response:
        """What vLLM counts, and we, for Prometheus."""
        text = prometheus_client.generate_latest()
        return web.Response(body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})


def _are_token_ids(prompt: object) -> bool:
    """True for a list of integers from 0 on. An array takes a sixth of the time of a look at each in Python."""
    if not isinstance(prompt, list):
        return False
    try:
        array("I", prompt)
    except (TypeError, OverflowError):
        return False
    return True


def _sampling(parameters: bytes, defaults: dict[str, Any]) -> SamplingParams:
    request = CompletionRequest.model_validate({"prompt": [0], **orjson.loads(parameters)})
    assert request.max_tokens is not None, "has a default"
    return request.to_sampling_params(request.max_tokens, defaults)


def _completion(output: RequestOutput) -> dict[str, Any]:
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


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)
