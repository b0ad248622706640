from __future__ import annotations

import pytest

from prox_spark.engine.host.device import choose_cpu_dtype, choose_visible_devices, detect_device, read_assigned_gpus

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("assigned", "environment", "visible"),
    [
        ([], None, None),
        ([], "", ""),
        ([], "2,3", "2,3"),
        (["1"], None, "1"),
        (["1"], "", "1"),
        (["0", "1"], None, "0,1"),
        (["0"], "3", "3"),
        (["1"], "2,3", "3"),
        (["1", "0"], "2,3", "3,2"),
        (["1"], "GPU-aaaa,GPU-bbbb", "GPU-bbbb"),
        (["GPU-bbbb"], "GPU-aaaa,GPU-bbbb", "GPU-bbbb"),
        (["GPU-bbbb"], None, "GPU-bbbb"),
        (["3"], "2,3", "3"),
    ],
)
def test_the_gpu_is_the_one_that_spark_assigned(
    assigned: list[str], environment: str | None, visible: str | None
) -> None:
    assert choose_visible_devices(assigned, environment) == visible


def test_outside_of_a_task_no_gpu_is_assigned() -> None:
    assert read_assigned_gpus() == []


@pytest.mark.parametrize(
    ("cpuinfo", "dtype"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n", "bfloat16"),
        ("flags\t\t: fpu amx_tile amx_bf16\n", "bfloat16"),
        ("flags\t\t: fpu avx2\nprocessor\t: 1\nflags\t\t: fpu avx2\n", "float32"),
        ("flags\t\t: fpu avx512f avx512_bf16x\n", "float32"),
        ("flags\t\t: fpu avx2\nbugs\t\t: avx512_bf16\n", "float32"),
        ("Features\t: fp asimd\n", "float32"),
        ("", "float32"),
    ],
)
def test_bfloat16_is_for_cpus_that_compute_it(cpuinfo: str, dtype: str) -> None:
    assert choose_cpu_dtype(cpuinfo) == dtype


@pytest.mark.parametrize(
    ("visible", "is_cpu_build", "device"),
    [("0", False, "cuda"), ("0", True, "cpu")],
)
def test_cuda_needs_a_gpu_and_a_vllm_for_it(
    visible: str, is_cpu_build: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("prox_spark.engine.host.device._is_cpu_build", lambda: is_cpu_build)
    assert detect_device() == device


@pytest.mark.parametrize("visible", [None, "", "-1"])
def test_without_a_gpu_the_device_is_the_cpu(visible: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    # A machine with an NVIDIA driver has one, whatever the variable says.
    monkeypatch.setattr("prox_spark.engine.host.device.Path.exists", lambda _: False)
    monkeypatch.setattr("prox_spark.engine.host.device._is_cpu_build", lambda: False)
    assert detect_device() == "cpu"
