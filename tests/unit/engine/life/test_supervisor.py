"""The supervisor with `sleep` in place of an engine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from waiting import wait_until

from prox_spark.engine.host.executor import Owner
from prox_spark.engine.life.reaper import end_processes

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[4]
# The real module with shorter waits.
RUN = """
import sys
from prox_spark.engine.life import reaper
from prox_spark.engine.life import supervisor
supervisor._POLL_SECONDS = 0.02
reaper.end_processes.__defaults__ = (0.2,)
sys.exit(supervisor.main(sys.argv[1:]))
"""
# A tree of three levels: the shell, one below it, one below that.
TREE = "sleep 300 & sh -c 'sleep 300 & wait' & wait"
STUBBORN = "trap '' TERM; sleep 300 & wait; sleep 300"


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Scene:
    """An executor, its supervisor and the directory of their engine."""

    directory: Path
    executor: subprocess.Popen[bytes] = field(default_factory=lambda: subprocess.Popen(["sleep", "300"]))
    seen: list[psutil.Process] = field(default_factory=list)
    supervisor: subprocess.Popen[bytes] | None = None

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        owner = Owner.of(psutil.Process(self.executor.pid))
        arguments = [str(owner.pid), repr(owner.started), str(self.directory), "inf", "inf", "--", *command]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.supervisor = subprocess.Popen(
            [sys.executable, "-c", RUN, *arguments],
            env=environment,
            cwd=self.directory,
            start_new_session=True,
        )
        return self.supervisor

    def start_tree(self, script: str, n_processes: int) -> list[psutil.Process]:
        supervisor = psutil.Process(self.start("sh", "-c", script).pid)
        # Until then a child of the supervisor may be the one that starts the guard.
        wait_until(
            lambda: (directly := names_below(supervisor.pid)) != [] and "python" not in directly[0],
            "there is an engine",
        )
        wait_until(lambda: len(supervisor.children(recursive=True)) == n_processes, "the tree has grown")
        self.seen = supervisor.children(recursive=True)
        return self.seen

    def end(self) -> None:
        for process in (self.executor, self.supervisor):
            if process:
                process.kill()
                process.communicate()
        for descendant in self.seen:
            if runs(descendant):
                descendant.kill()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    directory = tmp_path / "executor" / "engine"
    directory.mkdir(parents=True)
    made = Scene(directory)
    yield made
    made.end()


def test_when_its_owner_is_killed_the_whole_process_tree_ends(scene: Scene) -> None:
    tree = scene.start_tree(TREE, 4)
    scene.executor.kill()
    scene.executor.wait()
    wait_until(lambda: not any(map(runs, tree)), "no process is left")


def test_when_its_owner_is_killed_the_directories_go_with_it(scene: Scene) -> None:
    supervisor = scene.start("sleep", "300")
    (scene.directory / "engine.json").write_text("{}", encoding="utf-8")
    scene.executor.kill()
    scene.executor.wait()
    assert supervisor.wait(15) == 0
    assert not scene.directory.exists() and not scene.directory.parent.exists()


def test_an_owner_that_is_a_zombie_is_dead_too(scene: Scene) -> None:
    supervisor = scene.start("sleep", "300")
    scene.executor.kill()  # and not waited for
    assert supervisor.wait(15) == 0


def test_the_directory_of_another_engine_of_the_executor_is_left(scene: Scene) -> None:
    other = scene.directory.parent / "other"
    other.mkdir()
    supervisor = scene.start("sleep", "300")
    scene.executor.kill()
    scene.executor.wait()
    supervisor.wait(15)
    assert other.is_dir() and not scene.directory.exists()


def test_an_engine_that_does_not_listen_is_killed(scene: Scene) -> None:
    tree = scene.start_tree(STUBBORN, 2)
    scene.executor.kill()
    scene.executor.wait()
    wait_until(lambda: not any(map(runs, tree)), "no process is left")


def test_shared_memory_of_what_must_be_killed_is_removed(scene: Scene) -> None:
    made = scene.directory / "made"
    engine = f"""
import signal, time
from multiprocessing.shared_memory import SharedMemory
signal.signal(signal.SIGTERM, signal.SIG_IGN)
memory = SharedMemory(create=True, size=1)
open({str(made)!r}, "w").write(memory.name)
time.sleep(300)
"""
    scene.start(sys.executable, "-c", engine)
    wait_until(lambda: made.exists() and bool(made.read_text()), "there is shared memory")
    memory = Path("/dev/shm") / made.read_text()
    assert memory.exists()
    scene.executor.kill()
    scene.executor.wait()
    wait_until(lambda: not memory.exists(), "it is removed")


def test_an_engine_that_ends_ends_its_supervisor_with_its_status(scene: Scene) -> None:
    assert scene.start("sh", "-c", "exit 7").wait(15) == 7


def test_the_log_of_an_engine_that_ended_is_kept_while_its_owner_lives(scene: Scene) -> None:
    scene.start("sh", "-c", "echo out; echo error >&2; exit 7").wait(15)
    assert (scene.directory / "engine.log").read_text(encoding="utf-8") == "out\nerror\n"


def test_processes_that_a_dead_engine_left_behind_end(scene: Scene) -> None:
    tree = scene.start_tree("sleep 300 & sleep 300", 3)
    tree[0].kill()
    wait_until(lambda: not any(map(runs, tree)), "no process is left")


def test_a_process_that_works_elsewhere_is_none_of_the_engine(scene: Scene, tmp_path: Path) -> None:
    tree = scene.start_tree(f"(cd {tmp_path} && exec sleep 300) & sleep 300", 3)
    # The subshell exists for a moment before it changes its directory.
    wait_until(lambda: any(process.cwd() == str(tmp_path) for process in tree), "one works elsewhere")
    elsewhere = next(process for process in tree if process.cwd() == str(tmp_path))
    tree[0].kill()
    wait_until(lambda: sum(map(runs, tree)) == 1, "of the processes the other one alone is left")
    assert runs(elsewhere)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_supervisor_that_is_asked_to_end_ends_its_engine(scene: Scene, number: int) -> None:
    tree = scene.start_tree(TREE, 4)
    assert scene.supervisor is not None
    scene.supervisor.send_signal(number)
    wait_until(lambda: not any(map(runs, tree)), "no process is left")
    assert scene.supervisor.wait(15) == 0 and scene.directory.is_dir()


def test_a_supervisor_that_is_killed_takes_all_that_its_engine_started_with_it(scene: Scene) -> None:
    tree = scene.start_tree(TREE, 4)
    assert scene.supervisor is not None
    scene.supervisor.kill()
    wait_until(lambda: not any(map(runs, tree)), "no process is left")
    assert scene.directory.is_dir()


def test_a_supervisor_that_is_killed_after_its_owner_leaves_no_directory(scene: Scene) -> None:
    supervisor = scene.start("sleep", "300")
    wait_until(lambda: names_below(supervisor.pid) == ["sleep"], "the engine has started")
    supervisor.send_signal(signal.SIGSTOP)
    scene.executor.kill()
    scene.executor.wait()
    supervisor.kill()
    wait_until(lambda: not scene.directory.parent.exists(), "the directory is gone")


def test_the_guard_is_in_no_session_of_the_engine_and_ends_with_it(scene: Scene) -> None:
    supervisor = scene.start("sleep", "300")
    wait_until(lambda: names_below(supervisor.pid) == ["sleep"], "the engine has started")
    wait_until(lambda: guards(supervisor.pid) != [], "there is a guard")
    (guard,) = guards(supervisor.pid)
    os.killpg(supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not runs(guard), "the guard is gone")


def names_below(supervisor: int) -> list[str]:
    found = []
    for child in psutil.Process(supervisor).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(child.name())
    return found


def guards(supervisor: int) -> list[psutil.Process]:
    """Find the guards of a supervisor: processes that run the guard's module with its pid."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if (
            "prox_spark.engine.life.guard" in words
            and str(supervisor) in words
            and os.getsid(process.pid) != supervisor
        ):
            found.append(process)
    return found


def test_a_process_that_ended_is_not_waited_for_until_its_parent_asks() -> None:
    parent = "import subprocess, time; print(subprocess.Popen(['sleep', '300']).pid, flush=True); time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as negligent:
        assert negligent.stdout
        child = psutil.Process(int(negligent.stdout.readline()))
        begun = time.monotonic()
        end_processes([child], term_seconds=20)
        seconds, status = time.monotonic() - begun, child.status()
        negligent.kill()
    assert status == psutil.STATUS_ZOMBIE and seconds < 20
