from __future__ import annotations

import dataclasses
import math
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from weightless import make_weightless_card

from prox_spark.config import EngineConfig
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import EngineStartError
from prox_spark.refiners import Refiner, RefinerCard

pytestmark = pytest.mark.unit


def spec_of(
    folder: Path, device: str = "cpu", weights: bytes = b"weights", context: int = 128, **config: Any
) -> EngineSpec:
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    refiner = Refiner(RefinerCard.model_validate(make_weightless_card(context_tokens=context)), folder, str(folder))
    return EngineSpec(refiner, EngineConfig(device=device, **config))  # type: ignore[arg-type]


def options_of(spec: EngineSpec) -> dict[str, str]:
    """Return the command's options. An option without a value has an empty one."""
    words = spec.build_command(Path("/model"), Path("/run/s"))
    words = words[words.index("--model") :]
    pairs = zip(words, [*words[1:], "--"], strict=True)
    return {word: "" if value.startswith("--") else value for word, value in pairs if word.startswith("--")}


def test_the_command_is_our_server_by_this_interpreter(tmp_path: Path) -> None:
    interpreter, flag, code, *_ = spec_of(tmp_path).build_command(Path("/model"), Path("/run/s"))
    assert (interpreter, flag) == (sys.executable, "-c") and "prox_spark.engine.process.server" in code


def test_the_command_is_by_the_engines_own_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROX_SPARK_ENGINE_PYTHON", "/bin/sh")
    assert spec_of(tmp_path).build_command(Path("/model"), Path("/run/s"))[0] == "/bin/sh"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_server_listens_on_the_socket_alone(tmp_path: Path, device: str) -> None:
    options = options_of(spec_of(tmp_path, device))
    assert options["--uds"] == "/run/s" and not {"--host", "--port"} & options.keys()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_model_context_and_sequences_are_those_of_card_and_recipe(tmp_path: Path, device: str) -> None:
    options = options_of(spec_of(tmp_path, device, context=333, max_num_seqs=7))
    assert [options[name] for name in ("--model", "--max-model-len", "--max-num-seqs")] == ["/model", "333", "7"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_models_own_sampling_defaults_are_ignored(tmp_path: Path, device: str) -> None:
    assert options_of(spec_of(tmp_path, device))["--generation-config"] == "vllm"


@pytest.mark.parametrize(
    ("device", "config", "expected", "absent"),
    [
        ("cpu", {"cpu_kv_cache_gib": 1.5}, {"--kv-cache-memory-bytes": "1610612736"}, "--gpu-memory-utilization"),
        ("cuda", {"gpu_memory_fraction": 0.45}, {"--gpu-memory-utilization": "0.45"}, "--kv-cache-memory-bytes"),
        ("cpu", {}, {"--enforce-eager": ""}, "--max-num-batched-tokens"),
        ("cpu", {"compile": True}, {}, "--enforce-eager"),
        ("cuda", {}, {"--dtype": "auto"}, "--enforce-eager"),
        ("cuda", {"compile": False}, {"--enforce-eager": ""}, "--max-num-batched-tokens"),
        ("cuda", {"max_num_batched_tokens": 512}, {"--max-num-batched-tokens": "512"}, "--enforce-eager"),
        ("cuda", {}, {"--max-logprobs": "2"}, "--disable-log-stats"),
        ("cpu", {"dtype": "float16"}, {"--dtype": "float16"}, "--port"),
        ("cuda", {}, {}, "--quantization"),
        ("cuda", {"quantization": "fp8"}, {"--quantization": "fp8"}, "--tensor-parallel-size"),
        ("cuda", {"tensor_parallel_size": 2}, {"--tensor-parallel-size": "2"}, "--enable-prefix-caching"),
        ("cuda", {"prefix_caching": True}, {"--enable-prefix-caching": ""}, "--no-enable-prefix-caching"),
        ("cuda", {"prefix_caching": False}, {"--no-enable-prefix-caching": ""}, "--enable-prefix-caching"),
    ],
)
def test_settings_become_options(
    tmp_path: Path, device: str, config: dict[str, Any], expected: dict[str, str], absent: str
) -> None:
    options = options_of(spec_of(tmp_path, device, **config))
    assert expected.items() <= options.items() and absent not in options


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_on_a_cpu_auto_is_the_type_that_it_computes(
    tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prox_spark.engine.spec.choose_cpu_dtype", lambda: dtype)
    assert options_of(spec_of(tmp_path, "cpu"))["--dtype"] == dtype


def test_further_arguments_come_last_so_that_they_win(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, extra_args=["--max-num-seqs", "3"])
    assert spec.build_command(Path("/model"), Path("/run/s"))[-2:] == ["--max-num-seqs", "3"]


def test_the_device_is_that_of_the_recipe_unless_it_is_auto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prox_spark.engine.spec.detect_device", lambda: "cuda")
    assert [spec_of(tmp_path, device).device for device in ("cpu", "cuda", "auto")] == ["cpu", "cuda", "cuda"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_environment_calls_nobody_and_forks_nothing(tmp_path: Path, device: str) -> None:
    environment = spec_of(tmp_path, device).build_environment()
    assert environment["VLLM_NO_USAGE_STATS"] == environment["DO_NOT_TRACK"] == "1"
    assert environment["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"


def test_the_environment_is_that_of_the_worker_but_for_its_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prox_spark.engine.host.cores.read_quota_cores", lambda: math.inf)
    monkeypatch.setattr("prox_spark.engine.host.cores.claim_cores", lambda _: [2, 3])
    monkeypatch.setenv("HF_HOME", "/models")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    environment = spec_of(tmp_path).build_environment()
    assert environment["HF_HOME"] == "/models" and environment["OMP_NUM_THREADS"] == "2"
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_the_server_finds_the_modules_that_the_worker_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    path = spec_of(tmp_path).build_environment()["PYTHONPATH"].split(os.pathsep)
    assert path[0] == str(tmp_path) and "" not in path


def test_a_cpu_engine_is_bound_to_the_cores_of_its_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prox_spark.engine.host.cores.read_quota_cores", lambda: math.inf)
    monkeypatch.setattr("prox_spark.engine.host.cores.claim_cores", lambda _: [2, 3])
    assert spec_of(tmp_path).build_environment()["VLLM_CPU_OMP_THREADS_BIND"] == "2-3"


def test_a_cpu_engine_is_bound_to_the_cores_of_the_recipe(tmp_path: Path) -> None:
    assert spec_of(tmp_path, cpu_cores="0-3").build_environment()["VLLM_CPU_OMP_THREADS_BIND"] == "0-3"
    # YAML reads a single core as a number.
    assert spec_of(tmp_path, cpu_cores=1).build_environment()["VLLM_CPU_OMP_THREADS_BIND"] == "1"


def test_a_cpu_engine_runs_the_model_in_one_process_bound_by_openmp(tmp_path: Path) -> None:
    environment = spec_of(tmp_path, cpu_cores="0-1,4").build_environment()
    assert environment["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert environment["OMP_PLACES"] == "{0,1,4}" and environment["OMP_NUM_THREADS"] == "3"


def test_a_cpu_engine_bound_to_no_cores_has_its_threads_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prox_spark.engine.host.cores.read_quota_cores", lambda: 3.5)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(8))
    monkeypatch.delenv("OMP_PLACES", raising=False)
    environment = spec_of(tmp_path, cpu_cores="nobind").build_environment()
    assert environment["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0" and "OMP_PLACES" not in environment
    assert environment["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize("settings", [{"cpu_cores": "0-3", "tensor_parallel_size": 2}, {"cpu_cores": "0-1|2-3"}])
def test_a_cpu_engine_of_two_ranks_is_left_to_vllm(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "OMP_PLACES"):
        monkeypatch.delenv(name, raising=False)
    environment = spec_of(tmp_path, **settings).build_environment()
    assert environment["VLLM_CPU_OMP_THREADS_BIND"] == settings["cpu_cores"]
    assert not environment.keys() & {"VLLM_ENABLE_V1_MULTIPROCESSING", "OMP_PLACES"}


@pytest.mark.parametrize("cores", ["3-1", "auto", "0-", "0;1", ""])
def test_cores_that_are_none_are_refused(tmp_path: Path, cores: str) -> None:
    with pytest.raises(ValidationError, match="cpu_cores"):
        spec_of(tmp_path, cpu_cores=cores)


def test_what_torch_compiles_outlives_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("PROX_SPARK_CACHE", str(tmp_path / "cache"))
    assert spec_of(tmp_path).build_environment()["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "cache" / "inductor")


def test_a_cpu_engine_leaves_the_gpus_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert spec_of(tmp_path, "cpu").build_environment(["1"])["CUDA_VISIBLE_DEVICES"] == "2,3"


@pytest.mark.parametrize(
    ("assigned", "outside", "visible"),
    [(["1"], "2,3", "3"), (["1"], None, "1"), ([], "2,3", "2,3"), ([], None, None)],
)
def test_a_cuda_engine_sees_the_gpus_of_its_task(
    tmp_path: Path, assigned: list[str], outside: str | None, visible: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if outside is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", outside)
    environment = spec_of(tmp_path, "cuda").build_environment(assigned)
    assert environment.get("CUDA_VISIBLE_DEVICES") == visible
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID", "as nvidia-smi and so Spark number them"
    assert "VLLM_CPU_OMP_THREADS_BIND" not in environment


def test_equal_specs_have_one_key_wherever_the_weights_lie(tmp_path: Path) -> None:
    one, other = tmp_path / "a", tmp_path / "b"
    one.mkdir()
    other.mkdir()
    assert spec_of(one).key == spec_of(other).key


def test_another_way_of_asking_is_the_same_engine(tmp_path: Path) -> None:
    other = spec_of(tmp_path, request_seconds=5.0, window_factor=2.0, max_restarts=0, side_by_side=False)
    assert other.key == spec_of(tmp_path).key


@pytest.mark.parametrize(
    "changed", [{"weights": b"other"}, {"context": 129}, {"max_num_seqs": 7}, {"device": "cuda"}], ids=str
)
def test_another_model_or_setting_is_another_engine(tmp_path: Path, changed: dict[str, Any]) -> None:
    before = spec_of(tmp_path).key
    assert spec_of(tmp_path, **changed).key != before


@pytest.fixture
def assign(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Assign GPUs to the running task, in the role of Spark."""
    return lambda *gpus: monkeypatch.setattr("prox_spark.engine.spec.read_assigned_gpus", lambda: list(gpus))


def test_tasks_share_the_engine_of_their_gpu_and_no_other(tmp_path: Path, assign: Callable[..., None]) -> None:
    spec, keys = spec_of(tmp_path, "cuda"), []
    for gpus in (["0"], ["1"], ["0"], []):
        assign(*gpus)
        keys.append(spec.key)
    assert keys[0] == keys[2] and len(set(keys)) == 3


def test_tasks_with_the_same_gpus_share_an_engine_that_spans_them(tmp_path: Path, assign: Callable[..., None]) -> None:
    spec = spec_of(tmp_path, "cuda", tensor_parallel_size=2)
    assign("0", "1")
    before = spec.key
    assign("1", "0")
    assert spec.key == before


def test_on_cpu_gpus_make_no_difference(tmp_path: Path, assign: Callable[..., None]) -> None:
    spec = spec_of(tmp_path, "cpu")
    before = spec.key
    assign("0", "1")
    assert spec.gpus == () and spec.key == before


@pytest.mark.parametrize(("n_used", "assigned", "amount"), [(2, ["0"], "2"), (1, ["0", "1"], "1 or a fraction")])
def test_gpus_that_an_engine_lacks_or_would_leave_idle_are_an_error(
    tmp_path: Path, n_used: int, assigned: list[str], amount: str, assign: Callable[..., None]
) -> None:
    assign(*assigned)
    with pytest.raises(EngineStartError, match=f"set spark.task.resource.gpu.amount to {amount},"):
        _ = spec_of(tmp_path, "cuda", tensor_parallel_size=n_used).key


def test_the_stages_of_one_refiner_share_an_engine(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    again = dataclasses.replace(spec, refiner=dataclasses.replace(spec.refiner))
    assert again.key == spec.key


def adapter_spec(folder: Path, scale: int, **config: Any) -> EngineSpec:
    """Make the spec of an adapter, which its scale tells from others, of the base in a folder."""
    spec = spec_of(folder, **config)
    adapter = folder / str(scale)
    adapter.mkdir(exist_ok=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"adapter")
    (adapter / "adapter_config.json").write_text(f'{{"r": 8, "lora_alpha": {scale}}}', encoding="utf-8")
    card = spec.refiner.card.model_copy(update={"adapter": str(scale)})
    return dataclasses.replace(spec, refiner=dataclasses.replace(spec.refiner, card=card))


def test_adapters_of_one_base_share_an_engine_only_where_they_are_served_as_they_are(tmp_path: Path) -> None:
    merged = [adapter_spec(tmp_path, scale) for scale in (1, 2)]
    assert merged[0].key != merged[1].key and merged[0].model_name == merged[1].model_name
    beside = [adapter_spec(tmp_path, scale, max_lora_rank=8) for scale in (1, 2)]
    assert beside[0].key == beside[1].key and beside[0].model_name != beside[1].model_name
    assert options_of(beside[0])["--max-lora-rank"] == "8" and "--enable-lora" not in options_of(merged[0])


def test_a_refiner_without_an_adapter_is_served_as_ever(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, max_lora_rank=8)
    assert spec.served is spec.refiner and "--enable-lora" not in options_of(spec)
    assert spec.key != adapter_spec(tmp_path, 1, max_lora_rank=8).key, "its engine could not take the adapter"


def test_an_executor_reads_nothing_of_the_base_to_know_its_engine(tmp_path: Path) -> None:
    spec = adapter_spec(tmp_path, 1, max_lora_rank=8)
    before = spec.settings_key
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "config.json").unlink()
    assert pickle.loads(pickle.dumps(spec)).settings_key == before
