"""The recipes of conf/corpora, on rows in the published layouts; tests/spark/test_ingest_corpora.py takes them up into a lake."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prox_spark import cli
from prox_spark.commands.arguments import add_input_arguments, add_recipe_arguments, make_recipe
from prox_spark.config import Recipe, list_corpora, load_corpus
from prox_spark.errors import RecipeError
from prox_spark.pipeline.inputs.find import find_inputs
from prox_spark.pipeline.inputs.rows import make_options
from prox_spark.readers import InputFormat, Record, Rejected, read_file

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "corpora"
FILES = sorted((ROOT / "conf" / "corpora").glob("*.yaml"))
NAMES = [file.stem for file in FILES]
PARQUET = {"fineweb", "fineweb-2", "fineweb-edu", "openwebmath"}


def urn(n: int) -> str:
    return f"<urn:uuid:00000000-0000-4000-8000-{n:012}>"


def birds(n: int) -> str:
    return f"https://birds.example/{n}"


# Of each document (id, URL, source): None is an id that is made of url and text, and a source that the recipe names.
EXPECTED: dict[str, set[tuple[str | None, str | None, str | None]]] = {
    "c4": {(None, birds(1), None), (None, birds(2), None), (None, "https://faglar.example/3", None)},
    "ccnet": {(None, birds(1), None), (None, birds(2), None)},
    "common-pile": {
        *(
            (
                f"stackexchange_filtered/stackexchange-dolma-0000.json.gz/{n}",
                f"https://{site}/questions/219",
                "Stack Exchange",
            )
            for n, site in enumerate(("birds.example", "gardens.example"))
        ),
        ("caselaw_access_project/cap_00000.jsonl.gz/0", "https://static.case.law/", "Caselaw Access Project"),
    },
    "dclm-baseline": {(urn(n), birds(n), None) for n in (1, 2, 3)},
    "dolma": {
        ("starcoder/starcoder-0000.json.gz/0", None, "starcoder"),
        ("starcoder/starcoder-0000.json.gz/1", None, "starcoder"),
        ("c4-filtered/c4-0000.json.gz/0", birds(3), "c4"),
        ("2019-09/0933_en_all.jsonl.gz/0", birds(4), "wiki"),
        ("2019-09/0933_en_all.jsonl.gz/1", birds(5), "wiki"),
    },
    "hplt": {
        ("ed62c812be76a9478d9316e742b6521c", birds(1), None),
        ("344afae4fc9caec904e145bdb847905c", birds(2), None),
    },
    "nemotron-cc": {(None, birds(1), None)},
    "redpajama-v2": {
        *((f"2023-06/0000/en_head.json.gz/{n}", birds(n), None) for n in range(3)),
        ("2023-06/0000/de_middle.json.gz/0", birds(0), None),
        ("2023-06/0000/en_tail.json.gz/0", birds(0), None),
    },
}


def recipe_of(name: str) -> Recipe:
    return Recipe.load(beneath=load_corpus(name), overrides=[f"input.paths=['{DATA / name}']"])


def read(name: str) -> tuple[list[Record], list[Rejected]]:
    config = recipe_of(name).input
    files = find_inputs(config).files
    items = [item for file, kind in files for item in read_file(file.uri, kind, make_options(config))]
    return [i for i in items if isinstance(i, Record)], [i for i in items if isinstance(i, Rejected)]


def parse(*argv: str) -> Recipe:
    parser = argparse.ArgumentParser()
    add_input_arguments(parser)
    add_recipe_arguments(parser)
    return make_recipe(parser.parse_args(argv))


def test_every_corpus_has_rows_to_be_tried_on() -> None:
    assert set(NAMES) == EXPECTED.keys() | PARQUET == {path.name for path in DATA.iterdir() if path.is_dir()}


@pytest.mark.parametrize("corpus", list_corpora(), ids=lambda corpus: corpus.name)
def test_a_corpus_says_what_it_is_and_where_its_layout_is_from(corpus: Any) -> None:
    assert corpus.name in NAMES and corpus.description and corpus.licence
    assert corpus.layout and all(url.startswith("https://") for url in corpus.layout)
    Recipe.load(beneath=load_corpus(corpus.name))


@pytest.mark.parametrize("name", EXPECTED)
def test_rows_of_the_published_layout_come_out_with_id_url_and_source(name: str) -> None:
    records, _ = read(name)
    config = recipe_of(name).input
    assert {(r.doc_id, r.url, r.source) for r in records} == EXPECTED[name]
    assert all((r.source is None) == (config.source is not None) for r in records)
    assert all(len(r.text) > 10 for r in records)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "redpajama-v2"])
def test_nothing_of_a_published_layout_is_rejected(name: str) -> None:
    assert read(name)[1] == []


@pytest.mark.parametrize("name", sorted(PARQUET))
def test_parquet_files_have_the_columns_that_the_recipe_names(name: str) -> None:
    config = recipe_of(name).input
    (table,) = find_inputs(config).tables
    assert table.kind is InputFormat.PARQUET and table.files
    named = {config.text_column, config.id_column, config.url_column} - {None}
    assert all(named <= set(pq.read_schema(file).names) for file in table.files)


@pytest.mark.parametrize(
    ("name", "passed_over"),
    [
        ("dolma", {"0933_en_all.jsonl.gz"}),
        ("fineweb-2", {"000_00000.parquet"}),
        ("hplt", {"eng_Latn.map"}),
        (
            "redpajama-v2",
            {
                "de_middle.duplicates.parquet",
                "en_head.duplicates.parquet",
                "en_head.minhash.parquet",
                "en_head.signals.json.gz",
            },
        ),
    ],
)
def test_files_that_hold_no_documents_are_passed_over_and_named(name: str, passed_over: set[str]) -> None:
    found = {(Path(item.uri).name, item.why) for item in find_inputs(recipe_of(name).input).passed_over}
    assert found == {(file, "input.skip") for file in passed_over}


def test_the_index_that_cc_net_writes_is_known_for_what_it_is() -> None:
    (passed_over,) = find_inputs(recipe_of("ccnet").input).passed_over
    assert (Path(passed_over.uri).name, passed_over.why) == ("en_head_0000.json.gz.index", "an index")


def test_settings_for_json_lines_are_noted_where_the_input_is_parquet() -> None:
    inputs = find_inputs(
        Recipe.load(beneath=load_corpus("dolma"), overrides=[f"input.paths=['{DATA / 'fineweb'}']"]).input
    )
    assert inputs.notes == ["input.id_from_path, input.beside: ignored, because the input is not JSON Lines"]
    assert find_inputs(recipe_of("fineweb").input).notes == find_inputs(recipe_of("dolma").input).notes == []


def test_a_file_that_is_named_itself_is_not_passed_over() -> None:
    attributes = DATA / "dolma/wiki/attributes/toxicity-0/2019-09/0933_en_all.jsonl.gz"
    inputs = find_inputs(Recipe.load(beneath=load_corpus("dolma"), overrides=[f"input.paths=['{attributes}']"]).input)
    assert [file.uri for file, _ in inputs.files] == [str(attributes)]


def test_a_folder_of_which_all_is_passed_over_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "attributes").mkdir()
    (tmp_path / "attributes" / "a.jsonl.gz").write_bytes(b"")
    with pytest.raises(RecipeError, match=r"nothing to read: 1 file passed over: a\.jsonl\.gz \(input\.skip\)"):
        find_inputs(Recipe.load(beneath=load_corpus("dolma"), overrides=[f"input.paths=['{tmp_path}']"]).input)


def test_redpajama_v2_has_its_signals_and_duplicates() -> None:
    records, notes = read("redpajama-v2")
    by_id = {str(r.doc_id).removeprefix("2023-06/0000/"): r.rest for r in records}
    assert [by_id[f"en_head.json.gz/{n}"]["is_duplicate"] for n in range(3)] == [False, True, False]
    words = [json.loads(by_id[f"en_head.json.gz/{n}"]["quality_signals"])["rps_lines_num_words"] for n in range(3)]
    assert words == [[[0, 49, 10], [49, 104, 11 + n]] for n in range(3)]
    # Signals of this shard are missing; none are published of the tail, nor which of it are duplicates.
    assert by_id["de_middle.json.gz/0"].keys() & {"quality_signals", "is_duplicate"} == {"is_duplicate"}
    assert not by_id["en_tail.json.gz/0"].keys() & {"quality_signals", "is_duplicate"}
    assert [Path(note.place.file).name for note in notes] == ["de_middle.json.gz"]
    assert "quality_signals/2023-06/0000/de_middle.signals.json.gz" in notes[0].message


def test_dolma_has_the_attributes_of_all_taggers_and_its_own_ids() -> None:
    records, _ = read("dolma")
    by_id = {r.doc_id: r.rest for r in records}
    assert [by_id[f"starcoder/starcoder-0000.json.gz/{n}"]["id"] for n in (0, 1)] == ["8fddd353", "8fddd353"]
    attributes = [by_id[f"2019-09/0933_en_all.jsonl.gz/{n}"]["attributes"] for n in (0, 1)]
    spans = [[[0, 49, 0.9]], []]
    assert [json.loads(text) for text in attributes] == [
        {"bff_duplicate_paragraph_spans": found, "exp__jigsaw__toxic": found} for found in spans
    ]
    assert all(isinstance(r.rest["metadata"], str) for r in records)


def test_nemotron_cc_has_its_folders_as_columns() -> None:
    found = {(r.rest["quality"], r.rest["kind"], r.rest["kind2"], r.text[:14]) for r in read("nemotron-cc")[0]}
    assert found == {
        ("high", "actual", "actual", "Page 1 is abou"),
        ("high", "synthetic", "diverse_qa_pairs", "Birds are coun"),
        ("high", "synthetic", "diverse_qa_pairs", "Who counts bir"),
    }


def test_the_recipe_lies_over_the_corpus_and_set_and_options_over_both(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("name: mine\ninput: {url_column: file, source: file}\n")
    recipe = parse("x", "--corpus", "hplt", "--recipe", str(file), "--set", "input.source=set", "--id-column", "option")
    config = recipe.input
    assert (recipe.name, config.url_column, config.source, config.id_column) == ("mine", "file", "set", "option")
    assert config.as_json == ["pii", "html_lang"] and config.paths == ["x"]
    assert parse("x", "--corpus", "hplt").name == "hplt"


def test_an_empty_section_of_the_recipe_leaves_what_the_corpus_sets(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("input:\n")
    assert parse("x", "--corpus", "ccnet", "--recipe", str(file)).input.text_column == "raw_content"


def test_a_corpus_may_be_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("name: own\ninput: {text_column: body}\n")
    assert parse("x", "--corpus", str(file)).input.text_column == "body"
    file.write_text("name: own\ninput: {text_colum: body}\n")
    with pytest.raises(RecipeError, match=r"input\.text_colum"):
        parse("x", "--corpus", str(file))
    with pytest.raises(RecipeError, match="can't read"):
        parse("x", "--corpus", str(tmp_path / "none.yaml"))


def test_an_unknown_corpus_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ingest", "--corpus", "finewep", "x", "--lake", "nowhere"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("prox-spark: no corpus 'finewep'; known are ") and all(name in error for name in NAMES)


def test_the_command_lists_them_and_prints_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["corpora"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(NAMES) and all(len(line.split()) > 3 for line in lines)
    assert cli.main(["corpora", "fineweb"]) == 0
    assert capsys.readouterr().out == (ROOT / "conf/corpora/fineweb.yaml").read_text()
    assert cli.main(["corpora", "finewep"]) == 2


def test_the_table_of_the_docs_has_each_corpus_with_its_sources() -> None:
    text = (ROOT / "docs" / "inputs.md").read_text()
    section = text.partition("\n## Corpora\n")[2].partition("\n## ")[0]
    rows = {line.split("`")[1]: line for line in section.splitlines() if line.startswith("| `")}
    assert list(rows) == sorted(NAMES)
    for corpus in list_corpora():
        assert [url for url in corpus.layout if url not in rows[corpus.name]] == []
