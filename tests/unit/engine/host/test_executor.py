from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from waiting import wait_until

from prox_spark.engine.host.executor import (
    Owner,
    find_owner,
    list_owner_directories,
    locate_owner_directory,
    make_engine_directory,
)
from prox_spark.errors import EngineStartError

pytestmark = pytest.mark.unit

ME = Owner.of(psutil.Process())
KEY = "0123456789abcdef" * 4


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def sleepers() -> Iterator[list[psutil.Process]]:
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    yield [psutil.Process(process.pid) for process in processes]
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(tmp_path))
    return tmp_path


def test_a_running_process_is_alive(sleeper: subprocess.Popen[bytes]) -> None:
    assert Owner.of(psutil.Process(sleeper.pid)).is_alive()


def test_a_process_that_ended_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    owner = Owner.of(psutil.Process(sleeper.pid))
    sleeper.kill()
    sleeper.wait()
    assert not owner.is_alive()


def test_a_zombie_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    process = psutil.Process(sleeper.pid)
    owner = Owner.of(process)
    sleeper.kill()  # and not yet waited for
    wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, "it is a zombie")
    assert not owner.is_alive()


def test_a_pid_that_was_given_to_another_process_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    owner = Owner.of(psutil.Process(sleeper.pid))
    assert not Owner(owner.pid, owner.started - 3600).is_alive()


def test_a_running_process_is_alive_after_the_clock_was_set(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = Owner.of(psutil.Process(sleeper.pid))
    boot = psutil.boot_time()
    # Linux derives the boot time from the clock, so a step of the clock by NTP moves both.
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + 1)
    assert owner.is_alive()


def test_without_a_jvm_above_the_owner_is_this_process() -> None:
    if any(process.name().startswith("java") for process in psutil.Process().parents()):
        pytest.skip("these tests themselves run below a JVM")
    assert find_owner() == ME


def test_the_owner_is_the_nearest_jvm_above(sleepers: list[psutil.Process], monkeypatch: pytest.MonkeyPatch) -> None:
    names = dict(zip((process.pid for process in sleepers), ("python3", "java", "java"), strict=True))
    monkeypatch.setattr(psutil.Process, "parents", lambda _: sleepers)
    monkeypatch.setattr(psutil.Process, "name", lambda process: names[process.pid])
    assert find_owner() == Owner.of(sleepers[1])


def test_the_directory_of_an_engine_is_ours_alone_and_so_are_those_above(runtime: Path) -> None:
    path = make_engine_directory(ME, KEY)
    assert path.is_dir() and path.is_relative_to(runtime)
    for directory in (path, path.parent, path.parent.parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert path.parent.parent.parent == runtime


def test_a_directory_that_others_could_read_is_closed(runtime: Path) -> None:
    path = locate_owner_directory(ME)
    path.mkdir(parents=True)
    path.chmod(0o755)
    make_engine_directory(ME, KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_an_executor_finds_the_directory_of_its_engine_again(runtime: Path) -> None:
    assert make_engine_directory(ME, KEY) == make_engine_directory(ME, KEY)


@pytest.mark.parametrize(
    ("owner", "key"),
    [(Owner(ME.pid + 1, ME.started), KEY), (Owner(ME.pid, ME.started - 60), KEY), (ME, KEY[::-1])],
    ids=["another executor", "an earlier executor of this pid", "another engine"],
)
def test_no_other_engine_has_the_same_directory(runtime: Path, owner: Owner, key: str) -> None:
    assert make_engine_directory(owner, key) != make_engine_directory(ME, KEY)


def test_executors_of_another_container_or_host_are_not_looked_at(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Owner(2**22 - 1, 1.0)
    locate_owner_directory(gone).mkdir(parents=True)
    locate_owner_directory(ME).mkdir()
    monkeypatch.setattr("prox_spark.engine.host.executor._pid_namespace", lambda: "abcdef")
    theirs = locate_owner_directory(gone)
    theirs.mkdir()
    assert list(list_owner_directories()) == [(theirs, False)]
    monkeypatch.undo()
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(runtime))
    assert sorted(list_owner_directories()) == sorted(
        [(locate_owner_directory(gone), False), (locate_owner_directory(ME), True)]
    )


def test_the_path_of_a_socket_is_short_enough_for_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROX_SPARK_RUNTIME", raising=False)
    monkeypatch.setattr(
        "tempfile.tempdir", "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T"
    )  # as long as macOS has it
    assert len(bytes(locate_owner_directory(Owner(4_194_304, 1_900_000_000.0)) / KEY[:12] / "s")) <= 103


def test_a_runtime_directory_that_can_not_be_written_is_an_error_that_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file in place of the directory stops root as well.
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("PROX_SPARK_RUNTIME", str(file))
    with pytest.raises(
        EngineStartError, match=r"can't make the engine's directory .*Not a directory.*PROX_SPARK_RUNTIME"
    ):
        make_engine_directory(ME, KEY)


def test_a_directory_of_another_user_is_refused(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locate_owner_directory(ME).mkdir(parents=True)
    # This process plays another user who finds the first one's directory.
    uid = locate_owner_directory(ME).stat().st_uid + 1
    theirs = locate_owner_directory(ME)
    monkeypatch.setattr("prox_spark.engine.host.executor.locate_owner_directory", lambda _: theirs)
    monkeypatch.setattr("os.getuid", lambda: uid)
    with pytest.raises(EngineStartError, match="belongs to another user: set PROX_SPARK_RUNTIME"):
        make_engine_directory(ME, KEY)


def test_without_a_setting_the_directory_is_below_that_of_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROX_SPARK_RUNTIME", raising=False)
    monkeypatch.setattr("tempfile.tempdir", "/somewhere")
    assert locate_owner_directory(ME).is_relative_to("/somewhere")
