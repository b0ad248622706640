"""A process in datatrove's environment: it reads the files of a folder and writes Parquet, one task per file.

It does not import prox_spark. It prints its figures as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time

BEGUN = time.monotonic()

import psutil  # noqa: E402
from datatrove.executor import LocalPipelineExecutor  # noqa: E402
from datatrove.pipeline.base import PipelineStep  # noqa: E402
from datatrove.pipeline.readers import JsonlReader, ParquetReader, WarcReader  # noqa: E402
from datatrove.pipeline.writers import ParquetWriter  # noqa: E402

IMPORTED = time.monotonic()
READERS = {"jsonl": JsonlReader, "parquet": ParquetReader, "warc": WarcReader}


class Extract(PipelineStep):
    """HTML to text in the reading process: datatrove's own extractors send each page to another process and back."""

    name = "plain text"
    type = "extractor"

    def __init__(self, settings: dict[str, bool]) -> None:
        """Keep the arguments of `extract_plain_text`."""
        super().__init__()
        self.settings = settings

    def run(self, data, rank: int = 0, world_size: int = 1):
        """Yield the documents with their text."""
        from resiliparse.extract.html2text import extract_plain_text

        for document in data:
            document.text = extract_plain_text(document.text, **self.settings)
            yield document


def main(job: dict) -> None:
    """Run one job."""
    steps = [READERS[job["kind"]](job["folder"])]
    if job["kind"] == "warc":
        steps.append(Extract(job["extract"]))
    steps.append(ParquetWriter(job["out"]))
    # Forked workers need no imports: their cost is reported apart, like the JVM's start.
    executor = LocalPipelineExecutor(
        steps, tasks=job["tasks"], workers=job["workers"], logging_dir=job["logs"], start_method="fork"
    )
    begun, own, machine = time.monotonic(), own_seconds(), machine_seconds()
    executor.run()
    seconds, own, machine = time.monotonic() - begun, own_seconds() - own, machine_seconds() - machine
    measured = {
        "import": IMPORTED - BEGUN,
        "first": seconds,
        "first_cpu": own,
        "with_import": seconds + IMPORTED - BEGUN,
        "others": max(0.0, machine - own) / seconds,
    }
    print(json.dumps(measured), flush=True)


def own_seconds() -> float:
    """Return the CPU seconds of this process and of its ended workers."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def machine_seconds() -> float:
    """Return the CPU seconds of all processes on this machine."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
