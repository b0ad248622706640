"""What the engine's server makes of an answer that vLLM did not end as it should. vLLM is imported and no engine started."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prox_spark.engine.connections import BrokenConnection, Connections

pytestmark = pytest.mark.engine


class FakeLoop:
    """Ends each answer as its prompt's first token says."""

    n_in_flight = 0

    async def generate(self, prompt: Any, parameters: Any, adapter: Any) -> Any:
        how = ("stop", "length", "error", "abort")[prompt["prompt_token_ids"][0]]
        choice = SimpleNamespace(text="keep_chunk()", finish_reason=how, token_ids=[1], logprobs=None)
        return SimpleNamespace(outputs=[choice], prompt_token_ids=[0], num_cached_tokens=0, metrics=None)


def test_only_what_ended_as_it_should_is_an_answer(short_path: Path) -> None:
    from prox_spark.engine.server import Server, listen

    async def ask() -> None:
        await listen(Server(FakeLoop(), "refiner", {}), str(short_path / "s"))  # type: ignore[arg-type]
        connections = Connections(str(short_path / "s"))

        async def post(first_token: int, **more: Any) -> tuple[int, dict[str, Any]]:
            body = {"model": "refiner", "prompt": [first_token], **more}
            status, content = await connections.post("/v1/completions", json.dumps(body).encode())
            return status, json.loads(content)

        for first_token, how in enumerate(("stop", "length")):
            status, content = await post(first_token)
            assert (status, content["choices"][0]["finish_reason"]) == (200, how)
        status, content = await post(2)
        assert status == 500 and "'error'" in content["error"]["message"]
        with pytest.raises(BrokenConnection):  # so that it is asked again
            await post(3)
        for more in ({"n": 2}, {"stream": True}):
            assert (await post(0, **more))[0] == 400
        connections.close()

    asyncio.run(ask())
