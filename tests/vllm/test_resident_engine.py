"""One real vLLM engine around a tiny random Llama: start, adoption, answers, restart, end.

PROX_SPARK_TEST_DEVICE=cuda runs them on a GPU, with vLLM's CUDA build.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from engine_processes import read_words
from waiting import wait_until

from prox_spark.config import EngineConfig
from prox_spark.engine.ask.resident_session import ResidentSession
from prox_spark.engine.ask.window import RequestWindow
from prox_spark.engine.host.executor import Owner, find_owner, make_engine_directory
from prox_spark.engine.life.record import Engine
from prox_spark.engine.life.resident import connect, find_running_engines, forgive
from prox_spark.engine.slots.sharing import Share
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.wire.health import exchange, read_metrics, request
from prox_spark.errors import EngineStartError, ReasonCode
from prox_spark.prompts import ChunkPrompts, VerdictPrompts
from prox_spark.refiners import find
from prox_spark.udfs.generate import Generate, VerdictTokens

pytestmark = pytest.mark.engine

DEVICE = os.environ.get("PROX_SPARK_TEST_DEVICE", "cpu")
CONFIG = EngineConfig.model_validate(
    {"device": DEVICE, "max_num_seqs": 8, "cpu_kv_cache_gib": 0.25, "gpu_memory_fraction": 0.2}
)
of_a_cpu = pytest.mark.skipif(DEVICE != "cpu", reason="of an engine on a CPU")
# Stands in for an executor JVM: a process that an engine is started for and that can be killed.
OWNER = """
import json, sys
from dataclasses import asdict
from prox_spark.config import EngineConfig
from prox_spark.engine.life.resident import connect
from prox_spark.engine.spec import EngineSpec
from prox_spark.refiners import find
spec = EngineSpec(find(sys.argv[1]), EngineConfig(**json.loads(sys.argv[2])))
print(json.dumps(asdict(connect(spec))), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def spec(tiny_refiner: str) -> EngineSpec:
    return EngineSpec(find(tiny_refiner), CONFIG)


@pytest.fixture(scope="module")
def engine(spec: EngineSpec) -> Iterator[Engine]:
    """The engine of this test process, which is its own owner here."""
    started = connect(spec)
    yield started
    for found in find_running_engines(Owner.of(psutil.Process())):
        os.kill(found.pid, signal.SIGTERM)


def builder(spec: EngineSpec, stage: str, tiny_llama: Path) -> VerdictPrompts | ChunkPrompts:
    tokenizer = (tiny_llama / "tokenizer.json").read_text()
    kind = VerdictPrompts if stage == "doc" else ChunkPrompts
    return kind(spec.refiner.card, spec.refiner.model_fingerprint, tokenizer)


def window(spec: EngineSpec, parameters: dict[str, Any], size: int) -> RequestWindow[int]:
    session = ResidentSession(
        lambda: connect(spec), parameters, 120, lambda n: forgive(spec, n), max_crashing_prompts=1
    )
    return RequestWindow(session, Share(make_engine_directory(find_owner(), spec.key) / "slots", size))


def generate(spec: EngineSpec, prompts: VerdictPrompts | ChunkPrompts, texts: list[str]) -> list[dict[str, object]]:
    made = [prompt for text in texts for prompt in prompts.build_prompts(text)]
    verdict_tokens = (
        VerdictTokens(*prompts.verdict_token_ids, "keep_doc()", "drop_doc()")
        if isinstance(prompts, VerdictPrompts)
        else None
    )
    columns = {
        "generation_key": [p.key for p in made],
        "token_ids": pa.array([p.token_ids for p in made], pa.list_(pa.int32())),
    }
    # Two Arrow batches: the window spans them.
    batches = pa.Table.from_pydict(columns).to_batches(max_chunksize=max(1, len(made) // 2))
    return [
        row for batch in Generate(spec, prompts.sampling, verdict_tokens)(iter(batches)) for row in batch.to_pylist()
    ]


def test_a_fresh_engine_tells_the_counters_that_a_hang_is_known_by(engine: Engine) -> None:
    assert read_metrics(engine.socket) is not None


def test_a_second_worker_finds_the_engine_of_the_first(spec: EngineSpec, engine: Engine) -> None:
    assert connect(spec) == engine


def test_socket_and_directory_are_closed_to_other_users(engine: Engine) -> None:
    assert Path(engine.socket).parent.stat().st_mode & 0o777 == 0o700


def test_what_vllm_leaves_lies_in_the_directory_that_goes_with_the_engine(engine: Engine) -> None:
    assert list(Path(engine.socket).parent.glob("vllm_dist_*"))


@of_a_cpu
def test_a_cpu_engine_is_one_process(engine: Engine) -> None:
    (server,) = (p for p in psutil.Process(engine.pid).children() if "--uds" in read_words(p))
    others = [read_words(process) for process in server.children(recursive=True)]
    assert [words for words in others if words and "resource_tracker" not in " ".join(words)] == []


def test_document_stage_answers_with_a_probability(spec: EngineSpec, engine: Engine, tiny_llama: Path) -> None:
    rows = generate(spec, builder(spec, "doc", tiny_llama), [f"page {n} of text" for n in range(20)])
    assert len(rows) == 20
    assert all(row["output_text"] in ("keep_doc()", "drop_doc()") and 0 < row["drop_probability"] < 1 for row in rows)  # type: ignore[operator]
    assert {row["engine_id"] for row in rows} == {engine.engine_id}


def test_probability_is_that_of_the_two_words_alone(spec: EngineSpec, engine: Engine, tiny_llama: Path) -> None:
    """Against transformers: the same softmax over the two first tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    prompts = builder(spec, "doc", tiny_llama)
    [row] = generate(spec, prompts, ["a page of text"])
    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32)
    [prompt] = prompts.build_prompts("a page of text")
    with torch.no_grad():
        logits = model(torch.tensor([prompt.token_ids])).logits[0, -1]
    keep, drop = prompts.verdict_token_ids
    expected = torch.softmax(logits[[keep, drop]], 0)[1].item()
    assert row["drop_probability"] == pytest.approx(expected, abs=0.02)


def test_chunk_stage_answers_every_chunk(spec: EngineSpec, engine: Engine, tiny_llama: Path) -> None:
    prompts = builder(spec, "chunk", tiny_llama)
    texts = ["\n".join(f"line {n} of page {page}" for n in range(30)) for page in range(6)]
    rows = generate(spec, prompts, texts)
    assert {row["generation_key"] for row in rows} == {p.key for text in texts for p in prompts.build_prompts(text)}
    assert all(row["error_code"] is None and 1 <= row["output_tokens"] <= 12 for row in rows)  # type: ignore[operator]


def test_grammar_constrains_what_is_decoded(spec: EngineSpec, engine: Engine, tiny_llama: Path) -> None:
    from prox_spark.programs.grammar import PROGRAM_GRAMMAR

    parameters = {"temperature": 0, "max_tokens": 12, "structured_outputs": {"grammar": PROGRAM_GRAMMAR}}
    [prompt] = builder(spec, "chunk", tiny_llama).build_prompts("a page of text")
    [(_, answer)] = window(spec, parameters, 4).ask_all([(0, prompt.token_ids)])
    # Random weights never write a program of themselves.
    assert answer.text and answer.text.lstrip().startswith(("keep_chunk", "remove_lines", "normalize")), answer


def test_one_refused_request_is_an_error_and_the_others_are_answered(spec: EngineSpec, engine: Engine) -> None:
    prompts = [(n, [1, 300 + n]) for n in range(5)] + [(5, [1] * 600)]
    answers = dict(window(spec, {"temperature": 0, "max_tokens": 4}, 4).ask_all(prompts))
    assert answers[5].error_code == ReasonCode.REQUEST_REFUSED and "512" in (answers[5].error_message or "")
    assert [answers[n].error_code for n in range(5)] == [None] * 5


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"model": "another", "prompt": [1]}, 404, "another"),
        ({"model": "refiner", "prompt": "text"}, 400, "token ids"),
        ({"model": "refiner", "prompt": [1, -1]}, 400, "token ids"),
        ({"model": "refiner", "prompt": [1, 10**6]}, 400, "out of vocabulary"),
        ({"model": "refiner", "prompt": []}, 400, "empty"),
        ({"model": "refiner", "prompt": [1], "temperature": -1}, 400, "temperature"),
        ({"model": "refiner", "prompt": [1], "structured_outputs": {"grammar": "root ::= ("}}, 400, "grammar"),
    ],
)
def test_a_request_that_cannot_be_is_refused_with_the_reason_and_the_engine_lives(
    engine: Engine, body: dict[str, Any], status: int, words: str
) -> None:
    found, content = exchange(engine.socket, "POST", "/v1/completions", body)
    assert found == status and words in json.loads(content)["error"]["message"]
    assert exchange(engine.socket, "POST", "/v1/completions", {"model": "refiner", "prompt": [1]})[0] == 200


def test_a_request_whose_client_has_gone_ends_in_the_engine(engine: Engine) -> None:
    body = {"model": "refiner", "prompt": [1, 300], "max_tokens": 500, "ignore_eos": True}
    assert exchange(engine.socket, "POST", "/v1/completions", body, seconds=0.05) == (0, "")
    # vLLM's own gauge stands still with its steps: another request makes some.
    assert exchange(engine.socket, "POST", "/v1/completions", {"model": "refiner", "prompt": [1]})[0] == 200
    told = re.search(r"^vllm:num_requests_running\S* (\S+)", request(engine.socket, "/metrics") or "", re.M)
    assert told, "the engine does not count"
    assert float(told[1]) == 0, "the long answer goes on"


@pytest.mark.long
def test_killed_engine_is_replaced_and_only_open_prompts_are_asked_again(spec: EngineSpec, engine: Engine) -> None:
    kill_in_the_middle(spec, lambda server: server)


@pytest.mark.long
def test_an_engine_dies_with_its_core_where_that_is_a_process_as_on_a_gpu(
    tiny_refiner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prox_spark.engine.spec._keep_in_one_process", lambda _: {})
    spec = EngineSpec(find(tiny_refiner), CONFIG.model_copy(update={"cpu_kv_cache_gib": 0.2}))
    directory = Path(connect(spec).socket).parent
    assert len([path for path in directory.iterdir() if path.is_socket()]) >= 2, "vLLM's own sockets lie elsewhere"
    kill_in_the_middle(spec, core_of)
    assert "'EngineCore': -9}" in (directory / "engine.previous.log").read_text(), "how it ended is not told"
    processes = psutil.Process(connect(spec).pid).children(recursive=True)
    assert len(processes) >= 2, "a server and its engine core"
    os.kill(connect(spec).pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(processes, timeout=15)
    assert not alive


def core_of(server: psutil.Process) -> psutil.Process:
    [core] = [child for child in server.children() if child.name().startswith("VLLM::EngineCo")]
    return core


def kill_in_the_middle(spec: EngineSpec, part: Callable[[psutil.Process], psutil.Process]) -> None:
    present = connect(spec)
    [server] = psutil.Process(present.pid).children()
    victim = part(server)
    parameters = {"temperature": 0, "max_tokens": 64, "ignore_eos": True}
    answers = {}
    for tag, answer in window(spec, parameters, 8).ask_all((n, [1, 300 + n % 200]) for n in range(60)):
        assert tag not in answers
        answers[tag] = answer
        if len(answers) == 20:
            victim.kill()
    assert sorted(answers) == list(range(60)) and all(a.error_code is None for a in answers.values())
    assert {a.engine_id for a in answers.values()} == {present.engine_id, connect(spec).engine_id}
    first = Owner(present.pid, present.started)
    wait_until(lambda: not first.is_alive(), "the first supervisor has ended")


def test_no_process_of_vllm_outlives_its_killed_supervisor(spec: EngineSpec, engine: Engine) -> None:
    present = connect(spec)
    processes = psutil.Process(present.pid).children(recursive=True)
    assert processes
    os.kill(present.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(processes, timeout=15)
    assert not alive


@pytest.mark.long
def test_no_process_of_an_engine_outlives_its_killed_owner(tiny_refiner: str) -> None:
    arguments = [sys.executable, "-c", OWNER, tiny_refiner, CONFIG.model_dump_json()]
    owner = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout
        line = owner.stdout.readline()
        assert line, "the owner failed to start its engine"
        engine = Engine(**json.loads(line))
        processes = [psutil.Process(engine.pid), *psutil.Process(engine.pid).children(recursive=True)]
        assert len(processes) >= 2
    finally:
        owner.kill()
        owner.wait()
    gone, alive = psutil.wait_procs(processes, timeout=15)
    assert not alive and len(gone) == len(processes)
    wait_until(lambda: not Path(engine.socket).parent.exists(), "the engine's directory is gone", 5)


@pytest.mark.parametrize(
    ("argument", "words"),
    [("--no-such-argument", r"no-such-argument\."), ("--data-parallel-size=2", "an engine is one")],
)
def test_engine_that_dies_at_start_says_why(tiny_refiner: str, argument: str, words: str) -> None:
    spec = EngineSpec(find(tiny_refiner), CONFIG.model_copy(update={"extra_args": [argument]}))
    with pytest.raises(
        EngineStartError, match=rf"refused its arguments: .*{words}.*Check engine\.extra_args"
    ) as failure:
        connect(spec)
    assert failure.value.is_final


@pytest.mark.long
def test_engine_that_the_environment_makes_several_says_why(tiny_refiner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_DP_SIZE", "2")
    with pytest.raises(EngineStartError, match="VLLM_DP_SIZE: an engine is one"):
        connect(EngineSpec(find(tiny_refiner), CONFIG))


@of_a_cpu
@pytest.mark.long
def test_kv_cache_that_is_too_small_is_named(tiny_refiner: str) -> None:
    spec = EngineSpec(find(tiny_refiner), EngineConfig(device="cpu", cpu_kv_cache_gib=0.0001))
    with pytest.raises(EngineStartError, match=r"not even one prompt.*Raise engine\.cpu_kv_cache_gib \(now 0\.0001\)"):
        connect(spec)


def test_engine_that_is_not_ready_in_time_is_ended_and_named(tiny_refiner: str) -> None:
    spec = EngineSpec(find(tiny_refiner), CONFIG.model_copy(update={"start_seconds": 2, "cpu_kv_cache_gib": 0.3}))
    with pytest.raises(EngineStartError, match=r"engine\.start_seconds = 2 s"):
        connect(spec)
    children = [p for p in psutil.Process().children() if "prox_spark.engine.life.supervisor" in read_words(p)]
    wait_until(lambda: all(spec.key[:12] not in " ".join(read_words(p)) for p in children), "it is gone")
