from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from prox_spark.errors import RefinerError
from prox_spark.refiners import RefinerCard, find, list_refiners
from prox_spark.refiners.card import TEMPLATES, load_card

pytestmark = pytest.mark.unit

CARD = {
    "name": "tiny",
    "licence": "Apache-2.0",
    "base": {"path": "weights"},
    "context_tokens": 128,
    "tasks": {
        "doc": {"template": "plain", "max_text_tokens": 32},
        "chunk": {"template": "plain", "max_chunk_tokens": 64, "max_answer_tokens": 16},
    },
}


def card_with(**changes: object) -> RefinerCard:
    return RefinerCard.model_validate(CARD | changes)


def write(folder: Path, text: str) -> Path:
    path = folder / "refiner.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "uses"),
    [
        ("web-135m", {"doc", "chunk"}),
        ("gair-prox/web-doc-refining-lm", {"doc"}),
        ("gair-prox/web-chunk-refining-lm", {"chunk"}),
        ("gair-prox/math-doc-refining-lm", {"doc"}),
        ("gair-prox/math-chunk-refining-lm", {"chunk"}),
        ("smollm2-135m-instruct", {"teacher"}),
    ],
)
def test_a_shipped_or_released_model_has_its_uses(name: str, uses: set[str]) -> None:
    card = find(name).card
    assert card.name == name
    assert set(card.uses) == uses


def test_no_model_is_known_that_the_table_of_uses_lacks() -> None:
    assert len(list_refiners()) == len(set(list_refiners())) == 6


@pytest.mark.parametrize("name", list_refiners())
def test_a_known_card_says_what_a_lawyer_and_a_reader_ask(name: str) -> None:
    card = find(name).card
    assert card.licence == "Apache-2.0" and card.description


@pytest.mark.parametrize("name", [name for name in list_refiners() if name.startswith("gair-prox/")])
def test_a_released_model_has_a_bos_and_an_instruction_template(name: str) -> None:
    card = find(name).card
    assert card.bos == "<s>"
    assert all(card.template(stage).startswith("[INST]") for stage in ("doc", "chunk") if getattr(card.tasks, stage))


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_named_template_holds_the_text_once_and_no_bos(name: str) -> None:
    assert TEMPLATES[name].count("{text}") == 1 and "<s>" not in TEMPLATES[name]


def test_a_template_that_is_no_name_is_taken_as_it_stands() -> None:
    tasks = {"doc": {"template": "Q: {text}\nA: ", "max_text_tokens": 8}}
    assert card_with(tasks=tasks).template("doc") == "Q: {text}\nA: "


def test_a_stage_that_is_not_served_is_an_error_that_says_what_to_set() -> None:
    card = find("gair-prox/web-doc-refining-lm").card
    with pytest.raises(RefinerError, match=r"does not serve the chunk stage: set refiners\.chunk"):
        card.task("chunk")
    with pytest.raises(RefinerError, match=r"does not serve the chunk stage: set refiners\.chunk"):
        _ = card.chunk
    with pytest.raises(RefinerError, match=r"does not serve the doc stage: set refiners\.doc"):
        _ = find("gair-prox/web-chunk-refining-lm").card.doc


def test_an_unknown_field_of_a_card_is_answered_with_the_nearest_known_one(tmp_path: Path) -> None:
    tasks = {"chunk": {"template": "plain", "max_chunk_tokens": 64, "max_answer_token": 16}}
    with pytest.raises(RefinerError, match=r"did you mean tasks\.chunk\.max_answer_tokens\?"):
        load_card(write(tmp_path, yaml.safe_dump(CARD | {"tasks": tasks})))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"licence": None}, "licence"),
        ({"base": {}}, "exactly one of wheel, hub and path"),
        ({"base": {"hub": "a/b", "path": "c"}}, "exactly one of wheel, hub and path"),
        ({"base": {"wheel": "a"}}, "base.wheel and base.gguf go together"),
        ({"base": {"hub": "a/b", "gguf": "c.gguf"}}, "base.wheel and base.gguf go together"),
        ({"base": {"url": "x"}}, "base.url"),
        ({"context_tokens": 7}, "context_tokens"),
        ({"context": 2048}, "context"),
        ({"tasks": {"doc": {"template": "plain"}}}, "tasks.doc.max_text_tokens"),
        ({"tasks": {"doc": {"template": "plain", "max_text_tokens": 0}}}, "tasks.doc.max_text_tokens"),
        ({"tasks": {"chunks": {}}}, "tasks.chunks"),
        ({"tasks": {}}, "a refiner serves the doc stage, the chunk stage or both"),
        ({"tasks": {"chunk": {"template": "plain", "max_chunk_tokens": 9}}}, "tasks.chunk.max_answer_tokens"),
    ],
)
def test_a_bad_card_is_refused_by_the_name_of_its_field(changes: dict[str, object], named: str, tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump(CARD | changes))
    with pytest.raises(RefinerError) as caught:
        load_card(path)
    assert named in str(caught.value) and f"{path} is not a refiner card" in str(caught.value)


@pytest.mark.parametrize("text", ["tasks: {doc: [\n", "", "- a\n"])
def test_a_file_that_is_no_card_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(RefinerError, match=r"refiner\.yaml is not a refiner card"):
        load_card(write(tmp_path, text))


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(RefinerError, match=r"no refiner card at .*refiner\.yaml: No such file"):
        load_card(tmp_path / "refiner.yaml")


def test_a_card_of_bytes_that_are_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "refiner.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(RefinerError, match=r"refiner\.yaml is not a refiner card"):
        load_card(path)


@pytest.mark.parametrize("template", ["plian", "{text} {text}"])
def test_a_template_without_the_text_once_is_refused(template: str, tmp_path: Path) -> None:
    tasks = {"doc": {"template": template, "max_text_tokens": 8}}
    with pytest.raises(RefinerError, match="template"):
        load_card(write(tmp_path, yaml.safe_dump(CARD | {"tasks": tasks})))


def test_a_card_without_stages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefinerError, match="tasks"):
        load_card(write(tmp_path, yaml.safe_dump(CARD | {"tasks": {}})))


@pytest.mark.parametrize(
    "changes",
    [
        {"bos": "<s>"},
        {"context_tokens": 129},
        {"tasks": {"chunk": {"template": "llama2-chat-doc", "max_chunk_tokens": 64, "max_answer_tokens": 16}}},
        {"tasks": {"chunk": {"template": "plain", "max_chunk_tokens": 65, "max_answer_tokens": 16}}},
        {"tasks": {"chunk": {"template": "plain", "max_chunk_tokens": 64, "max_answer_tokens": 17}}},
        {"tasks": {"chunk": CARD["tasks"]["chunk"] | {"max_line_tokens": 32}}},
    ],
)
def test_the_prompt_fingerprint_knows_template_and_limits(changes: dict[str, object]) -> None:
    assert card_with(**changes).prompt_fingerprint("chunk") != card_with().prompt_fingerprint("chunk")


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "another"},
        {"name": "another"},
        {"licence": "MIT"},
        {"base": {"hub": "a/b"}},
        {"tasks": {"chunk": CARD["tasks"]["chunk"]}},
    ],
)
def test_the_prompt_fingerprint_knows_nothing_else(changes: dict[str, object]) -> None:
    assert card_with(**changes).prompt_fingerprint("chunk") == card_with().prompt_fingerprint("chunk")
