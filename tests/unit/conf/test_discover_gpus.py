"""The discovery script of conf/, with a fake nvidia-smi on the path."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

SCRIPT = Path(__file__).parents[3] / "conf" / "discover_gpus.sh"


def discover(folder: Path, nvidia_smi: str | None, visible: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the script where the only nvidia-smi is this one."""
    if nvidia_smi is not None:
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{nvidia_smi}\n")
        (folder / "nvidia-smi").chmod(0o755)
    for tool in ("bash", "sed", "paste", "seq", "cat"):
        found = subprocess.run(["which", tool], capture_output=True, text=True, check=True).stdout.strip()
        (folder / tool).symlink_to(found)
    environment = {"PATH": str(folder)} | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    return subprocess.run(["bash", SCRIPT], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("nvidia_smi", "visible", "addresses"),
    [
        ("echo 0", None, ["0"]),
        ("printf '0\\n1\\n 2\\n'", None, ["0", "1", "2"]),
        ("printf '0\\n1\\n2\\n3\\n'", "2,3", ["0", "1"]),
        ("printf '0\\n1\\n'", "GPU-aaaa", ["0"]),
    ],
)
def test_gpus_are_announced_by_sparks_convention(
    tmp_path: Path, nvidia_smi: str, visible: str | None, addresses: list[str]
) -> None:
    done = discover(tmp_path, nvidia_smi, visible)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": addresses}


@pytest.mark.parametrize(
    ("nvidia_smi", "message"),
    [
        (None, "nvidia-smi is not on the PATH"),
        ("echo 'has failed: no driver'; exit 9", "nvidia-smi failed: has failed: no driver"),
        ("exit 0", "lists no GPU"),
    ],
)
def test_without_a_gpu_the_script_fails_and_says_why(tmp_path: Path, nvidia_smi: str | None, message: str) -> None:
    done = discover(tmp_path, nvidia_smi)
    assert done.returncode != 0 and message in done.stderr and not done.stdout
