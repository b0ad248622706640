"""The tokenizer of a refiner whose weights are not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from prox_spark.refiners import find
from prox_spark.refiners.build import tokenizer_json

pytestmark = pytest.mark.unit


def test_the_tokenizer_of_a_gguf_base_is_had_without_its_weights(
    tmp_path: Path, smollm2_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROX_SPARK_CACHE", str(tmp_path))
    refiner = find("web-135m")
    path = tokenizer_json(refiner)
    text = "Read more: [003]Ünïcode, 1,024 words <|im_start|>"
    assert Tokenizer.from_file(str(path)).encode(text).ids == smollm2_tokenizer.encode(text)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert tokenizer_json(refiner) == path and len(list(path.parent.parent.glob("*-tokenizer"))) == 1
