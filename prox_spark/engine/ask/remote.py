"""Asking an engine that we do not run: any OpenAI-compatible completions server, given by engine.endpoint."""

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
from prox_spark.config.redaction import redact
from prox_spark.engine.wire.answers import Answer, read_answer, read_error_message, read_refusal
from prox_spark.errors import EndpointError, ReasonCode
from prox_spark.refiners import Stage

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 60.0
_LONGEST_RETRY_AFTER_SECONDS = 300.0
_CONNECT_SECONDS = 30.0
_BUSY = 429
# Statuses below 500 that may pass by the next try.
_PASSING = {408, 409, 425, _BUSY}
# After so many refusals without an answer, the cause is not the prompts.
_REFUSALS_OF_ALL = 16


@dataclass(frozen=True)
class Endpoint:
    """A remote completions server.

    Attributes:
        url: URL up to and including /v1.
        model: name of the model on the server.
        key_variable: environment variable that holds the key; None without a key. No stored object holds the key
            itself.
        tries: most times that a request is sent while the server is busy, fails or can't be reached.
    """

    url: str
    model: str
    key_variable: str | None = None
    tries: int = 8

    @classmethod
    def of(cls, config: EngineConfig, stage: Stage, refiner: str) -> Endpoint | None:
        """Return the recipe's endpoint for a stage with a refiner; None where the engine is the executor's own."""
        if config.endpoint is None:
            return None
        model = config.endpoint_model_of(stage) or refiner
        return cls(config.endpoint.rstrip("/"), model, config.endpoint_key_variable, config.endpoint_tries)

    def __str__(self) -> str:
        """Return the URL for messages, without any login in it."""
        return str(redact(self.url))

    def read_key(self) -> str | None:
        """Read the key from this machine's environment; None where the endpoint has none.

        Raises:
            EndpointError: the variable is not set.
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
    """Return the seconds to wait before the next try: doubling, with jitter, or as the server asks.

    Args:
        n_tries: tries so far, from 1.
        retry_after: header of the answer, in seconds or as an HTTP date; followed up to five minutes.
    """
    backoff = min(_FIRST_WAIT_SECONDS * 2 ** (n_tries - 1), _LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1.0)
    return max(backoff, min(_parse_retry_after(retry_after), _LONGEST_RETRY_AFTER_SECONDS))


class RemoteSession:
    """A session with a remote endpoint.

    Args:
        endpoint: the server.
        parameters: body of each completions request, without model and prompt.
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
        """Return the answer to a prompt.

        Raises:
            EndpointError: there is no key; the server refuses the key, the model or every prompt; or it was busy or out
                of reach too often.
        """
        body = {"model": self._endpoint.model, "prompt": token_ids, **self._parameters}
        trouble, status, content = "", 0, b""
        n_answered_before = math.inf  # answers to other prompts before the first failure of this one
        for n_tries in range(1, self._endpoint.tries + 1):
            while (wait := self._not_before - time.monotonic()) > 0:
                await asyncio.sleep(wait + random.uniform(0, _FIRST_WAIT_SECONDS))  # spreads the requests
            retry_after, status = None, 0
            sent = time.monotonic()
            try:
                async with self._open().post(
                    f"{self._endpoint.url}/completions", json=body, allow_redirects=False
                ) as response:
                    status, content = response.status, self._remove_key(await response.read())
                if status not in _PASSING and status < 500:
                    return replace(self._count(self._read(status, content)), n_sends=n_tries).stamp(sent)
                trouble = f"{status}: {self._quote(content)}"
                if status >= 500:
                    n_answered_before = min(n_answered_before, self._n_answered)
                retry_after = response.headers.get("Retry-After")
            except aiohttp.ConnectionTimeoutError:
                trouble = f"no connection in {_CONNECT_SECONDS:g} s"
            except TimeoutError:
                message = f"no answer in engine.request_seconds = {self._request_seconds:g} s"
                late = Answer(error_code=ReasonCode.REQUEST_TIMEOUT, error_message=message, n_sends=n_tries)
                return self._count(late).stamp(sent)
            except aiohttp.ClientError as error:
                trouble = str(error) or type(error).__name__
            wait = choose_wait_seconds(n_tries, retry_after)
            if retry_after:  # the server said it to this request and means all
                self._not_before = max(self._not_before, time.monotonic() + wait)
            elif n_tries < self._endpoint.tries:
                await asyncio.sleep(wait)
        if status >= 500 and self._n_answered > n_answered_before:
            # The server has answered others since, so this prompt may be the cause. If the server was only away,
            # another run asks again.
            return replace(read_refusal(status, content, engine_id=None), n_sends=self._endpoint.tries)
        raise EndpointError(
            f"engine.endpoint {self._endpoint} gave no answer in {self._endpoint.tries} tries (engine.endpoint_tries), the last "
            f"time: {trouble}. Is it up? If it is busy, lower engine.max_num_seqs: that many requests come from each executor"
        )

    async def close(self) -> None:
        """Close the connections, which ends requests in flight."""
        if self._http:
            await self._http.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._http is None:
            key = self._endpoint.read_key()
            self._http = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {key}"} if key else None,
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=self._request_seconds, sock_connect=_CONNECT_SECONDS),
                proxy=_find_proxy(self._endpoint.url),
            )
        return self._http

    def _read(self, status: int, content: bytes) -> Answer:
        if status == 200:
            try:
                return read_answer(content, engine_id=None)
            except (ValueError, LookupError, TypeError) as error:
                raise EndpointError(
                    f"engine.endpoint {self._endpoint} answered with something else than a completion: {self._quote(content)}"
                ) from error
        if status in (401, 402, 403):
            raise EndpointError(
                f"engine.endpoint {self._endpoint} refused the key ({status}: {self._quote(content)}): check "
                f"engine.endpoint_key_variable (now {self._endpoint.key_variable}) and what that variable holds on the executors"
            )
        if status < 400 or status == 404:
            raise EndpointError(
                f"engine.endpoint {self._endpoint} has no /completions for the model {self._endpoint.model!r} ({status}: "
                f"{self._quote(content)}): check engine.endpoint (a URL up to and with /v1) and engine.endpoint_model"
            )
        return read_refusal(status, content, engine_id=None)

    def _count(self, answer: Answer) -> Answer:
        """Count an answer or a refusal and return it.

        Raise an EndpointError where the server has only refused so far.
        """
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

    def _remove_key(self, content: bytes) -> bytes:
        """Remove the key from a response, because some servers repeat it in errors."""
        key = self._endpoint.read_key()
        return content.replace(key.encode(), b"***") if key else content

    @staticmethod
    def _quote(content: bytes) -> str:
        return read_error_message(content)[:300]


def _find_proxy(url: str) -> str | None:
    """Return the proxy that HTTPS_PROXY or a similar variable gives for a URL.

    aiohttp's own use of the environment would also take logins from ~/.netrc, and then refuse our key.
    """
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _parse_retry_after(retry_after: str | None) -> float:
    """Return the seconds that a Retry-After header asks for; 0 without one, or where it can't be read."""
    if not retry_after:
        return 0.0
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return parsedate_to_datetime(retry_after).timestamp() - time.time()
    except ValueError:
        return 0.0
