from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from prox_spark.config import Recipe
from prox_spark.errors import RecipeError
from prox_spark.fingerprint import fingerprint

pytestmark = pytest.mark.unit

RECIPES = sorted((Path(__file__).parents[3] / "conf" / "recipes").glob("*.yaml"))


def sections() -> dict[str, type[BaseModel]]:
    annotations = {name: field.annotation for name, field in Recipe.model_fields.items()}
    return {name: a for name, a in annotations.items() if isinstance(a, type) and issubclass(a, BaseModel)}


FIELDS = [(name, field) for name, section in sections().items() for field in section.model_fields]


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_all_fields_have_their_defaults() -> None:
    assert Recipe.load() == Recipe()


def test_an_empty_file_is_the_default_recipe(tmp_path: Path) -> None:
    assert Recipe.load(write(tmp_path, "# nothing set yet\n")) == Recipe()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("aply: {}", "aply"),
        ("apply: {drop_treshold: 0.5}", "apply.drop_treshold"),
        ("engine: {gpu: 1}", "engine.gpu"),
        ("apply: {drop_threshold: 1.5}", "apply.drop_threshold"),
        ("apply: {semantics: lenient}", "apply.semantics"),
        ("engine: {max_num_seqs: 0}", "engine.max_num_seqs"),
        ("engine: {extra_args: --quantization}", "engine.extra_args"),
        ("input: {format: csv}", "input.format"),
        ("waves: 5", "waves"),
        ("lake: {root: a, catalog: b.c}", "lake"),
    ],
)
def test_a_bad_field_is_refused_by_its_name(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.load(write(tmp_path, text))
    assert f"\n  {named}: " in str(caught.value)
    assert "recipe.yaml is not a valid recipe" in str(caught.value)


def test_every_bad_field_is_named_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.parse({"apply": {"min_words": -1}, "waves": {"documents": 0}, "extra": 1})
    assert all(f"\n  {name}: " in str(caught.value) for name in ("apply.min_words", "waves.documents", "extra"))


def test_root_and_catalog_together_are_refused_with_a_hint() -> None:
    with pytest.raises(RecipeError, match=r"set lake\.root or lake\.catalog, not both"):
        Recipe.load(overrides=["lake.root=./lake", "lake.catalog=main.web"])


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("web", "web"),
        ("main.web-text", "main.`web-text`"),
        ("`my lake`.web", "`my lake`.web"),
        ("`a.b`.2026", "`a.b`.`2026`"),
        ("`a``b`.c", "`a``b`.c"),
        ("café.`web`", "`café`.web"),
    ],
)
def test_schemas_are_named_as_sql_takes_them(given: str, name: str) -> None:
    catalog = Recipe.parse({"lake": {"catalog": given}}).lake.catalog
    assert catalog == name == Recipe.parse({"lake": {"catalog": catalog}}).lake.catalog


@pytest.mark.parametrize("given", ["a.b.c", "a.", ".b", "a..b", "a b", "`a.b", "a`b", "``.b"])
def test_other_names_of_schemas_are_refused(given: str) -> None:
    with pytest.raises(RecipeError, match=r"lake\.catalog: .*write CATALOG\.SCHEMA, such as main\.web"):
        Recipe.parse({"lake": {"catalog": given}})


@pytest.mark.parametrize("place", ["lake.root=./lake", "lake.catalog=main.web"])
def test_one_place_alone_is_accepted(place: str) -> None:
    field, _, value = place.removeprefix("lake.").partition("=")
    assert getattr(Recipe.load(overrides=[place]).lake, field) == value


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"can't read the recipe .*nowhere\.yaml: No such file"):
        Recipe.load(tmp_path / "nowhere.yaml")


def test_a_directory_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="can't read the recipe"):
        Recipe.load(tmp_path)


def test_bad_yaml_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"recipe\.yaml is not YAML"):
        Recipe.load(write(tmp_path, "lake: {root: [\n"))


def test_bytes_that_are_no_text_are_no_yaml(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(RecipeError, match=r"recipe\.yaml is not YAML"):
        Recipe.load(path)


@pytest.mark.parametrize(("text", "kind"), [("- a\n- b\n", "list"), ("just words\n", "str"), ("7\n", "int")])
def test_a_file_that_is_no_mapping_is_refused_with_what_it_is(text: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=f"must hold a mapping .* not a {kind}"):
        Recipe.load(write(tmp_path, text))


@pytest.mark.parametrize(
    ("override", "section", "field", "value"),
    [
        ("apply.drop_threshold=0.7", "apply", "drop_threshold", 0.7),
        (" apply.drop_threshold =0.7", "apply", "drop_threshold", 0.7),
        ("engine.compile=true", "engine", "compile", True),
        ("engine.compile=", "engine", "compile", None),
        ("input.paths=[a.jsonl, b.jsonl]", "input", "paths", ["a.jsonl", "b.jsonl"]),
        ("engine.extra_args=[--quantization, fp8]", "engine", "extra_args", ["--quantization", "fp8"]),
        ("input.source=a=b", "input", "source", "a=b"),
        ("lake.root=s3a://bucket/lake", "lake", "root", "s3a://bucket/lake"),
    ],
)
def test_an_override_sets_its_field(override: str, section: str, field: str, value: object) -> None:
    assert getattr(getattr(Recipe.load(overrides=[override]), section), field) == value


def test_an_override_of_a_top_level_field_sets_it() -> None:
    assert Recipe.load(overrides=["name=nightly"]).name == "nightly"


def test_an_override_of_a_section_replaces_it(tmp_path: Path) -> None:
    path = write(tmp_path, "apply: {min_words: 3, max_errors: 5}")
    apply = Recipe.load(path, overrides=["apply={min_words: 4}"]).apply
    assert (apply.min_words, apply.max_errors) == (4, 2)


def test_an_override_wins_over_the_file_and_leaves_its_neighbours(tmp_path: Path) -> None:
    path = write(tmp_path, "apply: {min_words: 3, max_errors: 5}")
    apply = Recipe.load(path, overrides=["apply.min_words=4"]).apply
    assert (apply.min_words, apply.max_errors) == (4, 5)


def test_the_last_of_two_overrides_wins() -> None:
    assert Recipe.load(overrides=["name=first", "name=last"]).name == "last"


def test_an_override_fills_a_section_that_the_file_leaves_empty(tmp_path: Path) -> None:
    assert Recipe.load(write(tmp_path, "apply:\n"), overrides=["apply.min_words=4"]).apply.min_words == 4


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("spark.conf.spark.sql.shuffle.partitions=8", "spark.sql.shuffle.partitions", "8"),
        ("spark.conf.spark.ui.enabled=true", "spark.ui.enabled", "true"),
        ("spark.conf.spark.driver.extraJavaOptions=-Da=b -Dc=d", "spark.driver.extraJavaOptions", "-Da=b -Dc=d"),
        ("spark.conf.plain=1", "plain", "1"),
        ("spark.conf={spark.ui.enabled: 'false'}", "spark.ui.enabled", "false"),
    ],
)
def test_an_override_of_spark_conf_keeps_the_dots_of_its_key_and_the_letters_of_its_value(
    override: str, key: str, value: str
) -> None:
    assert Recipe.load(overrides=[override]).spark.conf == {key: value}


def test_an_override_of_spark_conf_adds_to_that_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "spark: {conf: {spark.a.b: '1'}}")
    conf = Recipe.load(path, overrides=["spark.conf.spark.c.d=2"]).spark.conf
    assert conf == {"spark.a.b": "1", "spark.c.d": "2"}


@pytest.mark.parametrize("override", ["apply.drop_threshold", "=1", "apply..min_words=1", ".apply=1", ""])
def test_an_override_that_is_no_assignment_is_refused_with_an_example(override: str) -> None:
    with pytest.raises(RecipeError, match=r"write section\.field=value, such as apply\.drop_threshold=0\.7"):
        Recipe.load(overrides=[override])


def test_an_override_whose_value_is_no_yaml_is_refused() -> None:
    with pytest.raises(RecipeError, match="the value is not YAML"):
        Recipe.load(overrides=["input.paths=[a"])


def test_an_override_below_a_plain_value_is_refused() -> None:
    with pytest.raises(RecipeError, match="name is a value, not a section"):
        Recipe.load(overrides=["name=x", "name.y=1"])


def test_an_override_of_an_unknown_field_is_refused_by_its_name() -> None:
    with pytest.raises(RecipeError, match=r"the command line is not a valid recipe:\n  apply\.treshold: "):
        Recipe.load(overrides=["apply.treshold=1"])


@pytest.mark.parametrize(
    ("override", "unknown", "nearest"),
    [
        ("apply.drop_treshold=0.7", "apply.drop_treshold", "apply.drop_threshold"),
        ("drop_threshold=0.7", "drop_threshold", "apply.drop_threshold"),
        ("engine.drop_treshold=0.7", "engine.drop_treshold", "apply.drop_threshold"),
        ("aply.drop_threshold=0.7", "aply", "apply"),
        ("annotation.document=5", "annotation.document", "annotation.documents"),
        ("waves.document=5", "waves.document", "waves.documents"),
        ("input.beside=[{column: a, path: {b: c}, values: d}]", "input.beside.0.values", "input.beside.value"),
    ],
)
def test_an_unknown_field_is_answered_with_the_nearest_known_one(override: str, unknown: str, nearest: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.load(overrides=[override])
    assert f"\n  {unknown}: no such field; did you mean {nearest}?" in str(caught.value)


def test_an_unknown_field_of_a_file_is_answered_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"apply\.min_wrods: no such field; did you mean apply\.min_words\?"):
        Recipe.load(write(tmp_path, "apply: {min_wrods: 3}"))


def test_a_field_that_is_like_no_other_is_answered_without_a_guess() -> None:
    with pytest.raises(RecipeError, match=r"\n  engine\.gpu: no such field \(got 1\)"):
        Recipe.load(overrides=["engine.gpu=1"])


def test_the_example_of_an_override_is_one() -> None:
    assert Recipe.load(overrides=[Recipe.example]) != Recipe()


@pytest.mark.parametrize(("section", "field"), FIELDS)
def test_a_field_is_described_and_stands_in_the_reference(section: str, field: str) -> None:
    description = sections()[section].model_fields[field].description
    assert description and description.endswith((".", ")", "`"))
    own = Recipe.reference().partition(f"\n{section}:  #")[2].partition("\n\n")[0]
    assert f"\n  {field}:" in own and description in own


@pytest.mark.parametrize("section", sections())
def test_a_section_is_described_and_stands_in_the_reference(section: str) -> None:
    doc = sections()[section].__doc__
    assert doc and f"\n{section}:  # {' '.join(doc.split())}\n" in Recipe.reference()


def test_the_reference_is_itself_the_default_recipe() -> None:
    assert Recipe.parse(yaml.safe_load(Recipe.reference())) == Recipe()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_that_ships_loads_under_its_own_name(path: Path) -> None:
    recipe = Recipe.load(path)
    assert recipe.name == path.stem and recipe.lake.root


def test_recipes_for_cpu_and_gpu_ship() -> None:
    assert {"cpu", "gpu"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize(
    "key",
    [
        "spark.hadoop.fs.s3a.secret.key",
        "spark.hadoop.fs.s3a.access.key",
        "spark.hadoop.fs.s3a.session.token",
        "spark.hadoop.fs.azure.account.key.x.blob.core.windows.net",
        "spark.hadoop.fs.azure.sas.c.x.blob.core.windows.net",
        "spark.ssl.keyPassword",
        "spark.executorEnv.LLM_KEY",
        "spark.hadoop.google.cloud.auth.service.account.CREDENTIAL",
        "spark.hadoop.fs.s3a.encryption.key",
        "fs.s3a.server-side-encryption.key",
        "fs.azure.client-provided-encryption-key",
        "fs.azure.encryption.encoded.client-provided-key",
    ],
)
def test_a_secret_setting_is_redacted(key: str) -> None:
    redacted = Recipe.parse({"spark": {"conf": {key: "hush"}}}).redact()
    assert redacted["spark"]["conf"] == {key: "*** redacted ***"}


@pytest.mark.parametrize(
    "override",
    [
        "spark.conf.spark.hadoop.fs.gs.auth.service.account.private.key=hush",
        "spark.conf.spark.hadoop.fs.s3n.awsAccessKeyId=hush",
        "spark.conf.spark.driver.extraJavaOptions=-Djavax.net.ssl.trustStorePassword=hush",
        "engine.extra_args=[--hf-token, hush]",
        "input.paths=['s3a://AKIA:hush@bucket/pages']",
        "input.paths=['https://account.blob.core.windows.net/c/pages.jsonl?sv=2024-11-04&sig=hush%2Bhush&se=2026']",
        "input.paths=['https://bucket.s3.amazonaws.com/pages.jsonl?X-Amz-Credential=hush%2F20261124&X-Amz-Date=2026']",
        "input.paths=['https://bucket.s3.amazonaws.com/pages.jsonl?X-Amz-Signature=hush&X-Amz-Date=2026']",
        "input.paths=['https://storage.googleapis.com/bucket/pages.jsonl?X-Goog-Signature=hush']",
    ],
)
def test_a_secret_is_redacted_wherever_it_stands(override: str) -> None:
    assert "hush" not in str(Recipe.load(overrides=[override]).redact())


def test_other_settings_are_not_redacted() -> None:
    conf = {"spark.sql.shuffle.partitions": "8", "spark.hadoop.fs.s3a.endpoint": "http://localhost:9000"}
    conf |= {"spark.io.encryption.keySizeBits": "256", "spark.hadoop.fs.s3a.encryption.algorithm": "SSE-C"}
    assert Recipe.parse({"spark": {"conf": conf}}).redact()["spark"]["conf"] == conf


def test_redaction_leaves_the_recipe_itself_usable() -> None:
    recipe = Recipe.parse({"spark": {"conf": {"a.password": "hush"}}})
    recipe.redact()
    assert recipe.spark.conf == {"a.password": "hush"}


def test_a_fingerprint_is_the_same_on_every_platform_and_version() -> None:
    print_ = "e6b2701851adc26abf66b649758374cf869dea6af627e60b7d4a6d8f9ec523d7"
    assert fingerprint("chunk", {"b": [1, 0.5], "a": None}, "é") == print_


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "b"), ("b", "a")), (("a", "b"), ("ab",)), (("1",), (1,)), ((None,), ("",)), (("a",), ("a", None))],
)
def test_a_fingerprint_depends_on_what_the_parts_are(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert fingerprint(*one) != fingerprint(*other)
