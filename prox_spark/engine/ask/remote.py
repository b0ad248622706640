"""Asking an engine that is not ours: any OpenAI-compatible completions server, by engine.endpoint."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from prox_spark.config import EngineConfig
from prox_spark.config.redaction import redacted
from prox_spark.engine.wire.answers import Answer, error_message, read_answer, read_refusal
from prox_spark.errors import EndpointError, ReasonCode
from prox_spark.refiners import Stage

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 60.0
_LONGEST_RETRY_AFTER_SECONDS = 300.0
_CONNECT_SECONDS = 30.0
_BUSY = 429
# Statuses below 500 that may be others the next time.
_PASSING = {408, 409, 425, _BUSY}
# So many refusals and no answer yet: not the prompts are wrong.
_REFUSALS_OF_ALL = 16


@dataclass(frozen=True)
class Endpoint:
    """A remote completions server.

    Attributes:
        url: up to and with /v1.
        model: its name there.
        key_variable: environment variable that holds the key; None for none. The key itself is in no object that is stored.
        tries: times that a request is sent while the server is busy, fails or can't be reached.
    """

    url: str
    model: str
    key_variable: str | None = None
    tries: int = 8

    @classmethod
    def of(cls, config: EngineConfig, stage: Stage, refiner: str) -> Endpoint | None:
        """What the recipe says of a stage with a refiner; None where the engine is the executor's own."""
        if config.endpoint is None:
            return None
        model = config.endpoint_model_of(stage) or refiner
        return cls(config.endpoint.rstrip("/"), model, config.endpoint_key_variable, config.endpoint_tries)

    def __str__(self) -> str:
        """The URL for messages, without a login that is in it."""
        return str(redacted(self.url))

    def key(self) -> str | None:
        """The key, from this machine's environment.

        Raises:
            EndpointError: it is not there.
        """
        if self.key_variable is None:
            return None
        if key := os.environ.get(self.key_variable):
            return key
        raise EndpointError(
            f"the environment variable {self.key_variable} (engine.endpoint_key_variable) is not set on the executor: set "
            f"spark.executorEnv.{self.key_variable}, or export it before Spark starts"
        )


def choose_wait_seconds(n_tries: int, retry_after: str | None = None) -> float:
    """How long to wait before the next try: doubling, with jitter lest all come back at once, or what the server asks for.

    Args:
        n_tries: so far, from 1.
        retry_after: header of the answer, in seconds or as an HTTP date; heeded up to five minutes.
    """
    backoff = min(_FIRST_WAIT_SECONDS * 2 ** (n_tries - 1), _LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1.0)
    return max(backoff, min(_seconds(retry_after), _LONGEST_RETRY_AFTER_SECONDS))


class RemoteSession:
    """Asks an endpoint.

    Args:
        endpoint: whom.
        parameters: body of each completions request, but for model and prompt.
        request_seconds: deadline of one request.
    """

    def __init__(self, endpoint: Endpoint, parameters: Mapping[str, Any], request_seconds: float) -> None:
        self._endpoint = endpoint
        self._parameters = parameters
        self._request_seconds = request_seconds
        self._http: aiohttp.ClientSession | None = None
        self._not_before = 0.0
        self._n_answered = self._n_refused = 0

    async def ask(self, token_ids: list[int]) -> Answer:
        """One prompt.

        Raises:
            EndpointError: no key, the key, the model or every prompt is refused, or the endpoint was busy or out of reach too often.
        """
        body = {"model": self._endpoint.model, "prompt": token_ids, **self._parameters}
        trouble, status, content = "", 0, b""
        n_answered_before = math.inf  # its first failure
        for n_tries in range(1, self._endpoint.tries + 1):
            while (wait := self._not_before - time.monotonic()) > 0:
                await asyncio.sleep(wait + random.uniform(0, _FIRST_WAIT_SECONDS))  # not all in the same moment
            retry_after, status = None, 0
            sent = time.monotonic()
            try:
                async with self._connected().post(
                    f"{self._endpoint.url}/completions", json=body, allow_redirects=False
                ) as response:
                    status, content = response.status, self._without_key(await response.read())
                if status not in _PASSING and status < 500:
                    return replace(self._counted(self._read(status, content)), n_sends=n_tries).stamp(sent)
                trouble = f"{status}: {self._words(content)}"
                if status >= 500:
                    n_answered_before = min(n_answered_before, self._n_answered)
                retry_after = response.headers.get("Retry-After")
            except aiohttp.ConnectionTimeoutError:
                trouble = f"no connection in {_CONNECT_SECONDS:g} s"
            except TimeoutError:
                message = f"no answer in engine.request_seconds = {self._request_seconds:g} s"
                late = Answer(error_code=ReasonCode.REQUEST_TIMEOUT, error_message=message, n_sends=n_tries)
                return self._counted(late).stamp(sent)
            except aiohttp.ClientError as error:
                trouble = str(error) or type(error).__name__
            wait = choose_wait_seconds(n_tries, retry_after)
            if retry_after:  # said to this request, meant for all
                self._not_before = max(self._not_before, time.monotonic() + wait)
            elif n_tries < self._endpoint.tries:
                await asyncio.sleep(wait)
        if status >= 500 and self._n_answered > n_answered_before:
            # Others were answered since: it may be this prompt. Or the server was away for a while, which another run will see.
            return replace(read_refusal(status, content, engine_id=None), n_sends=self._endpoint.tries)
        raise EndpointError(
            f"engine.endpoint {self._endpoint} gave no answer in {self._endpoint.tries} tries (engine.endpoint_tries), the last "
            f"time: {trouble}. Is it up? If it is busy, lower engine.max_num_seqs: that many requests come from each executor"
        )

    async def close(self) -> None:
        """Closes the connections; requests in flight end."""
        if self._http:
            await self._http.close()

    def _connected(self) -> aiohttp.ClientSession:
        if self._http is None:
            key = self._endpoint.key()
            self._http = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {key}"} if key else None,
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=self._request_seconds, sock_connect=_CONNECT_SECONDS),
                proxy=_proxy(self._endpoint.url),
            )
        return self._http

    def _read(self, status: int, content: bytes) -> Answer:
        if status == 200:
            try:
                return read_answer(content, engine_id=None)
            except (ValueError, LookupError, TypeError) as error:
                raise EndpointError(
                    f"engine.endpoint {self._endpoint} answered with something else than a completion: {self._words(content)}"
                ) from error
        if status in (401, 402, 403):
            raise EndpointError(
                f"engine.endpoint {self._endpoint} refused the key ({status}: {self._words(content)}): check "
                f"engine.endpoint_key_variable (now {self._endpoint.key_variable}) and what that variable holds on the executors"
            )
        if status < 400 or status == 404:
            raise EndpointError(
                f"engine.endpoint {self._endpoint} has no /completions for the model {self._endpoint.model!r} ({status}: "
                f"{self._words(content)}): check engine.endpoint (a URL up to and with /v1) and engine.endpoint_model"
            )
        return read_refusal(status, content, engine_id=None)

    def _counted(self, answer: Answer) -> Answer:
        if answer.error_code is None:
            self._n_answered += 1
            return answer
        self._n_refused += 1
        if self._n_refused >= _REFUSALS_OF_ALL and not self._n_answered:
            raise EndpointError(
                f"engine.endpoint {self._endpoint} refused the first {self._n_refused} prompts or gave no answer, the last with "
                f"{answer.error_message!r}: it may not know what the stage asks for (see engine.endpoint)"
            )
        return answer

    def _without_key(self, content: bytes) -> bytes:
        """What the server said: some repeat the key."""
        key = self._endpoint.key()
        return content.replace(key.encode(), b"***") if key else content

    @staticmethod
    def _words(content: bytes) -> str:
        return error_message(content)[:300]


def _proxy(url: str) -> str | None:
    """HTTPS_PROXY and its like. The library's own look at the environment also takes logins from ~/.netrc, and then refuses our key."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _seconds(retry_after: str | None) -> float:
    if not retry_after:
        return 0.0
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return parsedate_to_datetime(retry_after).timestamp() - time.time()
    except ValueError:
        return 0.0
