"""A Spark standalone cluster from the pip package, and the processes that tests' jobs start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from engine_processes import read_words
from short_runs import FEW_PARTITIONS, JAVA_OPTIONS
from waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FAKE_ENGINE = REPOSITORY / "tests" / "support" / "fake_engine"

# Every process that these tests start inherits it. Other tests may have engines of their own at the same time.
MARK = {"PROX_SPARK_TEST_RUN": uuid.uuid4().hex}


def make_environment(**more: str) -> dict[str, str]:
    """Return the environment of a job or a daemon."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    settings = {"PYSPARK_PYTHON": sys.executable, "PATH": path, "SPARK_LOCAL_IP": "127.0.0.1"}
    settings["JAVA_TOOL_OPTIONS"] = JAVA_OPTIONS
    return os.environ | MARK | settings | more


def make_fake_engine_environment(**more: str) -> dict[str, str]:
    """Return the same environment with the fake engine in place of vLLM."""
    path = os.pathsep.join(filter(None, [str(FAKE_ENGINE), str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return make_environment(PYTHONPATH=path, **more)


def find_marked(but: Sequence[int] = ()) -> list[psutil.Process]:
    """Find the running processes that these tests have started.

    Args:
        but: ids of processes to leave out, such as a cluster's daemons.
    """
    found = psutil.process_iter(["environ", "status"])
    return [
        process
        for process in found
        if MARK.items() <= (process.info["environ"] or {}).items()
        and process.info["status"] != psutil.STATUS_ZOMBIE
        and process.pid not in but
    ]


def find_supervisors() -> list[psutil.Process]:
    """Find the supervisors of these tests' engines. Their guards have the same command line and are left out."""
    return [p for p in find_marked() if has_word(p, "prox_spark.engine.life.supervisor") and os.getsid(p.pid) == p.pid]


def has_word(process: psutil.Process, word: str) -> bool:
    """Return True if a word of a process's command line ends with `word`; False where the process has ended."""
    return any(part.endswith(word) for part in read_words(process))


@dataclass
class Job:
    """A running job."""

    command: list[str]
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def wait_for_end(self, status: int = 0, seconds: float = 400) -> str:
        """Wait for its end and return its output."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        printed = self.out.read_text()
        words = f"{' '.join(self.command)}\n{printed[-3000:]}\n{self.err.read_text()[-6000:]}"
        assert self.process.returncode == status, words
        return printed


def start_job(command: Sequence[str | Path], folder: Path, env: Mapping[str, str]) -> Job:
    """Start a program of this repository or environment. Its output goes to files in a folder."""
    words, out, err = list(map(str, command)), folder / "out", folder / "err"
    with out.open("wb") as printed, err.open("wb") as errors:
        return Job(words, subprocess.Popen(words, env=env, stdout=printed, stderr=errors), out, err)


def make_executor_settings(n_cores: int, memory: str) -> dict[str, str]:
    """Return settings of an application that waits for all its executors, without UI and progress bar."""
    return {
        "spark.executor.cores": str(n_cores),
        "spark.executor.memory": memory,
        **FEW_PARTITIONS,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    }


@dataclass(frozen=True)
class Cluster:
    """A running cluster: its URL, and the process ids of its master and workers."""

    url: str
    daemons: tuple[int, ...]


@contextmanager
def standalone(
    folder: Path, workers: Sequence[Mapping[str, str]], n_cores: int, env: Mapping[str, str], memory: str = "2g"
) -> Iterator[Cluster]:
    """Run a master and workers on this host, and end them.

    Args:
        folder: folder for logs and the executors' work.
        workers: for each worker its own Spark settings, such as the GPUs that it announces.
        n_cores: cores that each worker offers.
        env: environment, which the executors inherit.
        memory: memory that each worker offers.
    """
    import pyspark

    spark_class = Path(pyspark.__file__).parent / "bin" / "spark-class"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"spark://127.0.0.1:{port}"
    log = folder / "cluster.log"
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str, settings: Mapping[str, str]) -> None:
        command = [str(spark_class), f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1", "--webui-port", "0"]
        opts = " ".join(f"-D{key}={value}" for key, value in settings.items())
        with log.open("ab") as words:
            processes.append(
                subprocess.Popen(
                    [*command, *arguments],
                    env={**env, "SPARK_WORKER_OPTS": opts, "SPARK_DAEMON_MEMORY": "256m"},
                    stdout=words,
                    stderr=words,
                    cwd=folder,
                )
            )

    offer = ("--cores", str(n_cores), "--memory", memory)
    try:
        start("master.Master", "--port", str(port), settings={})
        for number, settings in enumerate(workers):
            start("worker.Worker", *offer, "--work-dir", str(folder / f"work-{number}"), url, settings=settings)
        registered = "Successfully registered with master"
        wait_until(lambda: log.read_text().count(registered) == len(workers), f"the workers register, see {log}", 60)
        yield Cluster(url, tuple(process.pid for process in processes))
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(20)
        for left in find_marked():  # left behind by a test that failed
            left.kill()
