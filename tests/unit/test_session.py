"""Spark's settings in local mode."""

from __future__ import annotations

import pytest

from prox_spark.config import Recipe
from prox_spark.session import laptop_settings

OPTIONS = "spark.driver.defaultJavaOptions"


def test_a_laptop_s_jvm_has_a_collector_and_room_for_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_TOOL_OPTIONS", raising=False)
    options = laptop_settings(Recipe())[OPTIONS].split()
    assert "-XX:+UseParallelGC" in options
    # With the first compiler alone the JVM reserves 48 MB, and stops compiling when these are full.
    assert "-XX:ReservedCodeCacheSize=240m" in options


@pytest.mark.parametrize("variable", ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", None])
def test_a_collector_that_the_user_has_named_is_the_only_one(
    variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe()
    if variable:
        monkeypatch.setenv(variable, "-Xss4m -XX:+UseG1GC")
    else:
        recipe = Recipe.parse({"spark": {"conf": {"spark.driver.extraJavaOptions": "-XX:+UseZGC"}}})
    options = laptop_settings(recipe)[OPTIONS]
    assert "UseParallelGC" not in options
    assert "TieredStopAtLevel" in options
