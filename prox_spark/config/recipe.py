"""The recipe of a run: one YAML file. The field descriptions are the manual; `prox-spark config` prints them."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from prox_spark.config.annotation import AnnotationConfig
from prox_spark.config.beside import BesideConfig
from prox_spark.config.engine import EngineConfig
from prox_spark.config.file import RecipeFile, Section
from prox_spark.config.schema_name import quote_schema_name

# The executor of programs.
Semantics: TypeAlias = Literal["strict", "reference"]


class InputConfig(Section):
    """Input of `ingest`: which files, which columns."""

    paths: list[str] = Field(
        default_factory=list,
        description="Files, folders or globs, as local paths or URIs (s3://, gs://, hdfs://). Paths on the command line are added to these.",
    )
    format: Literal["auto", "jsonl", "parquet", "delta", "warc", "wet"] = Field(
        "auto",
        description="Format of the input. `auto` tells it by the file name (.jsonl, .ndjson, .json, .parquet, .warc, .wet, each also with .gz, .zst, "
        ".lz4, .bz2, .xz), else by the content; a folder with _delta_log is Delta.",
    )
    text_column: str = Field(
        "text",
        min_length=1,
        description="Column with the text. `a.b` is field b of the object a, unless a column has the whole name; the same holds for the columns "
        "below.",
    )
    id_column: str | None = Field(
        None,
        min_length=1,
        description="Column with a stable id. Unset: `doc_id` or `id` if the input has one, else SHA-256 of url and text.",
    )
    id_from_path: int | None = Field(
        None,
        ge=1,
        description="JSON Lines: make a document's id of this many last parts of the file's path and the line number, counted from 0. With 3 an id is "
        "2023-06/0000/en_head.json.gz/17. For data sets that name their documents in this way or whose own ids repeat; those ids are then "
        "carried as ordinary columns.",
    )
    id_scope: Literal["file", "lake"] | None = Field(
        None,
        description="Where an id is unique. `file`: only within its file, such as a number that starts at 0 in each; doc_id is then FILE#ID. "
        "`lake`: everywhere, so the same id from another file is a newer version of the document and replaces it. Unset: as `lake`, but the "
        "run fails before it writes anything if most documents of a file would replace those of another file.",
    )
    url_column: str | None = Field(
        None, min_length=1, description="Column with the URL. Unset: `url` if the input has one."
    )
    source: str | None = Field(
        None,
        min_length=1,
        description="Value of the `source` column. Unset: the input's own `source` column, else the name of the input path.",
    )
    source_column: str | None = Field(
        None,
        min_length=1,
        description="Column with the source, read if input.source is unset. Unset: `source` if the input has one.",
    )
    as_json: list[str] = Field(
        default_factory=list,
        description="Keys or columns whose values are stored as JSON text, such as a `meta` that is an object in one file and a string in the next.",
    )
    max_keys: int = Field(
        500,
        ge=1,
        description="JSON Lines: an object that has more distinct keys than this over all records is stored as JSON text with its keys "
        "unchanged, because its keys are data, such as URLs. If a record itself has that many, all of it is stored in the one column "
        "`input_json`.",
    )
    folder_columns: list[str] = Field(
        default_factory=list,
        description="JSON Lines: names of folders NAME=VALUE whose value becomes a column of the files in them, such as `quality` for "
        "quality=high/. With Parquet all such folders become columns.",
    )
    skip: list[str] = Field(
        default_factory=list,
        description="Globs of files in the folders of input.paths that hold no documents, such as `**/attributes/**`. They are passed over and "
        "counted.",
    )
    beside: list[BesideConfig] = Field(
        default_factory=list, description="Columns to read from other files beside those of the documents."
    )
    max_text_chars: int = Field(
        1_000_000,
        ge=1,
        description="A longer text goes to quarantine as text_too_long, so that one page cannot hold up a task.",
    )
    max_zstd_window_mb: int = Field(
        2_048,
        ge=1,
        le=2_048,
        description="Largest window of a zstd file that is read, in MiB, as set by `zstd --long` (--long=31: 2,048 MiB). A task needs this much "
        "memory for such a file, or the file's own size if that is less. Lower it if executors have less memory; the error then says how "
        "to repack the file.",
    )


class LakeConfig(Section):
    """Location of the tables."""

    root: str | None = Field(
        None, description="Path or URI of the lake; its tables are ROOT/<table>. Set either lake.root or lake.catalog."
    )
    catalog: str | None = Field(
        None,
        description="Schema in a catalog, such as a Hive metastore or Unity Catalog, as CATALOG.SCHEMA, or SCHEMA for one of the session's own "
        "catalog. The tables are CATALOG.SCHEMA.<table>. `ingest` makes the schema if there is none.",
    )
    partition_by: list[str] = Field(
        default_factory=list,
        description="Partition columns of documents and refined, fixed when the tables are created; an input column used here becomes a string. "
        "Choose columns with few values and thousands of documents for each. Without any, queries by source still skip files by their "
        "statistics.",
    )

    @field_validator("catalog")
    @classmethod
    def _quote(cls, catalog: str | None) -> str | None:
        return quote_schema_name(catalog) if catalog else catalog

    @model_validator(mode="after")
    def _check_location(self) -> LakeConfig:
        if self.root and self.catalog:
            raise ValueError("set lake.root or lake.catalog, not both")
        return self


class RefinerConfig(Section):
    """The refiner of each stage. One name for both means one engine for both."""

    doc: str = Field(
        "web-135m",
        description="Refiner of the document stage: a name of `prox-spark refiners list`, or a directory or hub model with refiner.yaml.",
    )
    chunk: str = Field("web-135m", description="Refiner of the chunk stage, named in the same way.")


class GenerationConfig(Section):
    """Requests to the models. Part of the fingerprint of every generation they affect."""

    chunk_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The chunk stage runs on documents whose drop probability is below this. Unset: apply.drop_threshold. Set it higher to have "
        "chunk programs ready for a higher threshold later.",
    )
    grammar: bool = Field(
        False,
        description="Constrain chunk programs to the grammar of the program language, so that an answer can hold nothing else. It costs no speed "
        "(measured on CPU) and helps models that often write other text; web-135m hardly ever does.",
    )
    packing: Literal["strict", "reference"] = Field(
        "strict",
        description="How lines are packed into chunks. `reference` packs them exactly as the authors' released code does: a line over the budget "
        "is a chunk of its own. `strict` cuts such a line in the prompt (never in the document) at the limit in the refiner's card.",
    )


class SelfTestConfig(Section):
    """A test of each refiner on built-in pages before it is asked about yours.

    A wrong prompt format then fails the run instead of filling tables with no-ops.
    """

    enabled: bool = Field(
        True,
        description="Run the test. It costs a dozen short prompts, once per refiner and lake; a run with no prompts to send does no test and starts "
        "no engine. Without it a run writes whatever the refiners answer.",
    )
    min_parsed: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Least share of answers that are programs without an error or, in the document stage, one of its two answers.",
    )
    min_acting: float = Field(
        0.4,
        ge=0,
        le=1,
        description="Chunk stage: least share of programs that change something. Every page of the test has boilerplate.",
    )
    min_words_kept: float = Field(
        0.2, ge=0, le=1, description="Chunk stage: least share of the pages' words that are kept."
    )
    max_words_kept: float = Field(
        0.98, ge=0, le=1, description="Chunk stage: largest share of the pages' words that are kept."
    )


class ApplyConfig(Section):
    """From stored generations to text. After a change run `apply`; only a higher drop_threshold may need `refine`."""

    semantics: Semantics = Field(
        "strict",
        description="How programs are executed. `strict` works chunk by chunk on parsed operations; `reference` returns byte for byte what the "
        "authors' released executor returns.",
    )
    drop_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Drop a document if the model's drop probability is at least this; a higher value keeps more. Unset: the threshold in the "
        "card of the document refiner. Lowering it never needs the engine. Raising it keeps documents that may lack chunk programs (they have "
        "them if generation.chunk_below was high enough): `apply` leaves such documents as they are, `refine` generates the programs.",
    )
    min_word_ratio: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Blank a document if at most this share of its words is left. Words are separated by white space; in scripts without blanks "
        "each letter is a word (`reference` counts by white space alone).",
    )
    min_words: int = Field(
        10,
        ge=0,
        description="Blank a document if at most this many words are left, counted as for min_word_ratio (`reference` has 10 built in).",
    )
    max_errors: int = Field(
        2,
        ge=1,
        le=100,
        description="Discard a program that has this many errors: in `strict` the program of a chunk, in `reference` that of the document.",
    )


class WaveConfig(Section):
    """Division of a run into waves.

    A killed run loses at most the work under way: one stage of a wave, on a cluster one stage each of three waves.
    """

    documents: int = Field(
        50_000,
        ge=1,
        description="Documents per wave of `refine`; `apply`, which asks no model, takes ten times as many. Generations are committed after each "
        "stage of a wave, so smaller waves lose less when a run is killed, and larger ones commit less often.",
    )


class SparkConfig(Section):
    """The Spark session that the commands create. Settings of spark-submit and Databricks win over these."""

    master: str = Field("local[2]", description="Spark master if neither spark-submit nor the platform sets one.")
    driver_memory: str = Field("1g", description="Heap of the driver JVM in local mode.")
    conf: dict[str, str] = Field(default_factory=dict, description="Further spark.* settings.")

    @field_validator("conf", mode="before")
    @classmethod
    def _read_as_text(cls, conf: object) -> object:
        # Spark's settings are strings; YAML reads `true` and `2` as something else.
        if not isinstance(conf, dict):
            return conf
        return {
            key: str(value).lower()
            if isinstance(value, bool)
            else str(value)
            if isinstance(value, int | float)
            else value
            for key, value in conf.items()
        }


class Recipe(RecipeFile):
    """All settings of a run.

    Example:
        >>> Recipe.load("conf/recipes/cpu.yaml", overrides=["apply.drop_threshold=0.7"])  # doctest: +SKIP
    """

    example: ClassVar[str] = "apply.drop_threshold=0.7"

    name: str = Field("default", description="Name for logs and the table `runs`.")
    input: InputConfig = Field(default_factory=InputConfig, description="Input of `ingest`.")
    lake: LakeConfig = Field(default_factory=LakeConfig, description="Location of the tables.")
    refiners: RefinerConfig = Field(default_factory=RefinerConfig, description="Refiners of the two stages.")
    generation: GenerationConfig = Field(default_factory=GenerationConfig, description="Requests to the models.")
    self_test: SelfTestConfig = Field(default_factory=SelfTestConfig, description="Test of the refiners before a run.")
    apply: ApplyConfig = Field(default_factory=ApplyConfig, description="From programs to text.")
    waves: WaveConfig = Field(default_factory=WaveConfig, description="Division of a run into waves.")
    annotation: AnnotationConfig = Field(default_factory=AnnotationConfig, description="Labels from a teacher.")
    engine: EngineConfig = Field(default_factory=EngineConfig, description="Serving of the models.")
    spark: SparkConfig = Field(default_factory=SparkConfig, description="The Spark session.")
