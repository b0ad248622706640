"""Refiners for engine tests: tiny random Llamas in the shape of the released models, laid out as the hub's client caches them."""

from __future__ import annotations

from pathlib import Path

import pytest
from random_llama import add_to_hub_cache, write_card, write_random_llama


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the weights and the tokenizer of a tiny random Llama."""
    directory = tmp_path_factory.mktemp("tiny-llama")
    write_random_llama(directory)
    return directory


@pytest.fixture
def empty_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache with the network off."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    # For the process that builds.
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "hub"


@pytest.fixture
def hub_cache(tiny_llama: Path, empty_hub_cache: Path) -> Path:
    """One that holds a tiny Llama under the name of a released refiner."""
    add_to_hub_cache(empty_hub_cache, "gair-prox/web-chunk-refining-lm", tiny_llama)
    return empty_hub_cache


@pytest.fixture(scope="session")
def tiny_refiner(tiny_llama: Path) -> str:
    """A refiner directory for both stages around the tiny Llama."""
    return write_card(tiny_llama, "doc", "chunk")


@pytest.fixture(scope="session")
def tiny_refiners(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By stage, refiners that are different models and serve that stage only."""
    names = {}
    for seed, stage in enumerate(("doc", "chunk")):
        folder = tmp_path_factory.mktemp(f"tiny-{stage}")
        write_random_llama(folder, seed)
        names[stage] = write_card(folder, stage)
    return names
