"""The scripts of the matrix of Sparks, in a copy of what they read, with stand-ins for uv and Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[3]
READ = (
    "setup.py",
    "conf/spark_environment.sh",
    "conf/requirements/cpu.txt",
    "prox_spark/session.py",
    "tests/matrix.sh",
)
PYTHON = "#!/bin/sh\necho group:artifact:1.0\n"
UV = f"""#!/bin/sh
echo "$1" >> calls
[ "$1" = venv ] || exit 0
shift 4
mkdir -p "$1/bin" && printf '{PYTHON.replace(chr(10), chr(92) + "n")}' > "$1/bin/python" && chmod +x "$1/bin/python"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in READ:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    for name, text in {".venv/bin/uv": UV, "path/python3.11": PYTHON}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def run(checkout: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{checkout}/path{os.pathsep}{os.environ['PATH']}", "HOME": str(checkout)}
    command = ["bash", checkout / script, *words]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["", "3.5.9", "3.5.9-py", "py3.11", "../3.5.9-py3.11", "3.5.9-py3.11-oldest"])
def test_a_name_that_is_none_is_refused_before_anything_is_removed(checkout: Path, name: str) -> None:
    kept = checkout / ".cache" / "spark" / "4.1.2-py3.11" / "installed"
    kept.parent.mkdir(parents=True)
    kept.touch()
    done = run(checkout, "conf/spark_environment.sh", *([name] if name else []))
    assert done.returncode == 2 and "say VERSION-pyPYTHON, such as 3.5.9-py3.11" in done.stderr
    assert kept.exists() and not (checkout / "calls").exists()


def test_the_matrix_fails_for_a_name_that_is_none(checkout: Path) -> None:
    done = run(checkout, "tests/matrix.sh", "3.5.9")
    assert done.returncode == 1 and "3.5.9 " in done.stdout and "not installed" in done.stdout


def test_an_environment_is_made_again_when_delta_has_another_version(checkout: Path) -> None:
    def count_made() -> int:
        done = run(checkout, "conf/spark_environment.sh", "3.5.9-py3.11")
        assert done.returncode == 0, done.stderr
        return (checkout / "calls").read_text().split().count("venv")

    assert count_made() == 1
    assert count_made() == 1
    session = checkout / "prox_spark" / "session.py"
    session.write_text(session.read_text().replace("_2.12:3.3.3", "_2.12:3.3.4"))
    assert count_made() == 2
