"""When both stages may be under way at once. No context is there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prox_spark.pipeline.refine import _can_overlap

pytestmark = pytest.mark.unit


def can_overlap(
    master: str = "spark://host:7077",
    gpus: str = "0",
    refiners: tuple[str, str] = ("one", "other"),
    **config: Any,
) -> bool:
    engine = SimpleNamespace(**{"endpoint": None, "side_by_side": True, "device": "auto"} | config)
    doc, chunk = (
        SimpleNamespace(generate=SimpleNamespace(spec=SimpleNamespace(config=engine, settings_key=key)))
        for key in refiners
    )
    settings = {"spark.executor.resource.gpu.amount": gpus}
    context = SimpleNamespace(master=master, getConf=lambda: settings)
    stages, spark = SimpleNamespace(doc=doc, chunk=chunk), SimpleNamespace(sparkContext=context)
    return _can_overlap(spark, stages)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "overlap"),
    [
        ({"refiners": ("one", "one")}, True),
        ({"refiners": ("one", "one"), "device": "cpu"}, True),
        ({"gpus": "1"}, True),
        ({"device": "cuda"}, True),
        ({"gpus": "1", "side_by_side": False}, False),
        ({"gpus": "1", "device": "cpu"}, False),
        ({}, False),
        ({"master": "local[2]", "refiners": ("one", "one")}, False),
        ({"master": "local[2]", "endpoint": "https://llm.example.org/v1"}, True),
    ],
    ids=str,
)
def test_stages_overlap_where_their_engines_do_not_share_cores(fields: dict[str, Any], overlap: bool) -> None:
    assert can_overlap(**fields) is overlap
