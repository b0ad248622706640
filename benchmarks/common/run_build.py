"""A process for the build on PYTHONPATH: it starts Spark, warms it up, then ingests.

It uses only names that every build has: `Recipe.parse`, `build_session` and `ingest(spark, recipe)`. It prints
seconds and the summary's counts as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil


def main(job: dict[str, Any]) -> None:
    """Run one job: every pass after the first finds nothing new."""
    import prox_spark

    found = Path(prox_spark.__file__).parents[1]
    if found != Path(job["root"]):
        sys.exit(f"PYTHONPATH should lead to {job['root']}, but prox_spark is in {found}")
    begun = time.monotonic()
    from prox_spark.config import Recipe
    from prox_spark.pipeline.ingest import ingest
    from prox_spark.session import build_session

    def recipe(folder: str, lake: str) -> Recipe:
        spark: dict[str, Any] = {"master": f"local[{job['cores']}]", "conf": {"spark.local.dir": job["scratch"]}}
        if job["memory"]:
            spark["driver_memory"] = job["memory"]
        return Recipe.parse({"input": {"paths": [folder]}, "lake": {"root": lake}, "spark": spark})

    real = recipe(job["folder"], job["lake"])
    session = build_session(real)
    session.range(1).count()
    measured: dict[str, Any] = {"jvm": time.monotonic() - begun}
    begun = time.monotonic()
    for _ in job["passes"]:
        ingest(session, recipe(job["warm_folder"], job["warm_lake"]))
    measured["warm_up"] = time.monotonic() - begun
    for name in job["passes"]:
        begun, own, machine = time.monotonic(), _cpu_seconds(), _machine_seconds()
        summary = ingest(session, real)
        own, machine = _cpu_seconds() - own, _machine_seconds() - machine
        measured[name] = time.monotonic() - begun
        measured[f"{name}_cpu"] = own
        measured["others"] = max(0.0, machine - own) / measured[name]
        measured[f"{name}_counts"] = {"new": summary.n_new, "unchanged": summary.n_unchanged, "read": summary.n_read}
        measured[f"{name}_steps"] = dict(summary.seconds)
    session.stop()
    print(json.dumps(measured), flush=True)


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process, the JVM and the Python workers, ended ones included."""
    me = psutil.Process()
    # The time of an ended process is added to that of its parent.
    return sum(sum(process.cpu_times()[:4]) for process in [me, *me.children(recursive=True)])


def _machine_seconds() -> float:
    """Return the CPU seconds of all processes on this machine."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
