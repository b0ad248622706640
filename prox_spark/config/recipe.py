"""The recipe: one YAML file is one run. Field descriptions are the manual; `prox-spark config` prints them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from prox_spark.config.annotation import AnnotationConfig
from prox_spark.config.beside import BesideConfig
from prox_spark.config.engine import EngineConfig
from prox_spark.config.file import RecipeFile, Section


class InputConfig(Section):
    """What `ingest` reads and how its columns are named."""

    paths: list[str] = Field(
        default_factory=list,
        description="Files, folders or globs; local paths or URIs (s3://, gs://, hdfs://). The command line adds to them.",
    )
    format: Literal["auto", "jsonl", "parquet", "delta", "warc", "wet"] = Field(
        "auto",
        description="`auto` goes by the file name, else by the content: .jsonl/.ndjson/.json, .parquet, .warc, .wet, each also with .gz, .zst, .lz4, .bz2, .xz; "
        "a folder with _delta_log is Delta.",
    )
    text_column: str = Field(
        "text",
        min_length=1,
        description="Column that holds the text. `a.b` is field b of the object a, where no column has the whole name; likewise below.",
    )
    id_column: str | None = Field(
        None,
        min_length=1,
        description="Column that holds a stable id. Unset: `doc_id` or `id` where the input has one, else SHA-256 of url and text.",
    )
    id_from_path: int | None = Field(
        None,
        ge=1,
        description="JSON Lines: a document's id is its place, the last so many parts of the file's path and the number of its line from 0, "
        "such as 2023-06/0000/en_head.json.gz/17 for 3. For data sets that call a document so, or whose own ids repeat; those are then "
        "carried as they are.",
    )
    id_scope: Literal["file", "lake"] | None = Field(
        None,
        description="`file`: an id is unique within its file only, such as a number that starts at 0 in each; doc_id is then FILE#ID. "
        "`lake`: the same id from another file is a newer version of the document and replaces it. Unset: as `lake`, but a file of which "
        "most documents would replace those of another file ends the run before anything is written.",
    )
    url_column: str | None = Field(
        None, min_length=1, description="Column that holds the URL. Unset: `url` where the input has one."
    )
    source: str | None = Field(
        None,
        min_length=1,
        description="Value of the `source` column. Unset: the input's own `source` column, else the name of the input path.",
    )
    source_column: str | None = Field(
        None,
        min_length=1,
        description="Column that holds the source, where `source` is unset. Unset: `source` where the input has one.",
    )
    as_json: list[str] = Field(
        default_factory=list,
        description="Keys or columns whose values are carried as JSON text, such as a `meta` that is an object in one file and a string in the next.",
    )
    max_keys: int = Field(
        500,
        ge=1,
        description="JSON Lines: an object with more distinct keys than this over all records has data for keys, such as URLs: it is "
        "carried as JSON text, its keys unchanged. A record with that many is carried in the one column `input_json`.",
    )
    folder_columns: list[str] = Field(
        default_factory=list,
        description="JSON Lines: folders called NAME=VALUE, such as `quality` for quality=high/, whose value is a column of what lies in "
        "them. Of Parquet all such folders are columns.",
    )
    skip: list[str] = Field(
        default_factory=list,
        description="Globs of files in the folders of `paths` that hold no documents, such as `**/attributes/**`: passed over, and counted.",
    )
    beside: list[BesideConfig] = Field(
        default_factory=list, description="What lies in other files beside those of the documents."
    )
    max_text_chars: int = Field(
        1_000_000,
        ge=1,
        description="A longer text goes to quarantine as text_too_long: one page must not hold up a task.",
    )
    max_zstd_window_mb: int = Field(
        2_048,
        ge=1,
        le=2_048,
        description="Largest window of a zstd file that is read, as `zstd --long` sets it (--long=31: 2,048 MiB). A task takes so much memory "
        "for such a file, or as much as is in it where that is less. Lower it where executors have less: the message then says how to repack.",
    )


class LakeConfig(Section):
    """Where the tables are."""

    root: str | None = Field(
        None, description="Path or URI; tables lie at ROOT/<table>. Exactly one of root and catalog is set."
    )
    catalog: str | None = Field(
        None, description="NAME.SCHEMA of a catalog, such as Unity Catalog; tables are NAME.SCHEMA.<table>."
    )
    partition_by: list[str] = Field(
        default_factory=list,
        description="Partition columns of documents and refined, fixed when the tables are made; a carried column becomes a string. Few values, "
        "thousands of documents in each. None by default: queries by source pass over files by their statistics.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> LakeConfig:
        if self.root and self.catalog:
            raise ValueError("set lake.root or lake.catalog, not both")
        return self


class RefinerConfig(Section):
    """Which refiner serves which stage. The same name for both: one engine does both."""

    doc: str = Field(
        "web-135m",
        description="Refiner of the document stage: a known name, or a directory or hub model with refiner.yaml.",
    )
    chunk: str = Field("web-135m", description="Refiner of the chunk stage, likewise.")


class GenerationConfig(Section):
    """What is asked of the models. Part of the fingerprint of every generation it touches."""

    chunk_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The chunk stage runs on documents whose probability of dropping is below this. Unset: apply.drop_threshold. "
        "Set it higher to have the chunk programs ready for a later, higher threshold.",
    )
    grammar: bool = Field(
        False,
        description="Decode chunk programs under the grammar of the program language, so that no answer holds anything else. Costs no speed (measured on CPU); helps models that stray, web-135m hardly does.",
    )
    packing: Literal["strict", "reference"] = Field(
        "strict",
        description="`reference` packs lines exactly as the released code does: a line over the budget is a chunk of its own. "
        "`strict` cuts such a line in the prompt (never in the document), as the refiner's card says.",
    )


class SelfTestConfig(Section):
    """Pages of our own that a refiner answers before it is asked for yours: a wrong prompt fails the run instead of filling tables with no-ops."""

    enabled: bool = Field(
        True,
        description="Off, a run writes whatever the refiners say. The test costs a dozen short prompts, once per refiner and lake; with "
        "nothing to ask for there is no test and no engine.",
    )
    min_parsed: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Share of the answers that are programs without an error or, in the document stage, one of its two answers, at least.",
    )
    min_acting: float = Field(
        0.4,
        ge=0,
        le=1,
        description="Chunk stage: share of the programs that change something, at least. Every page of the sample has boilerplate.",
    )
    min_words_kept: float = Field(
        0.2, ge=0, le=1, description="Chunk stage: share of the sample's words that stay, at least."
    )
    max_words_kept: float = Field(0.98, ge=0, le=1, description="Likewise, at most.")


class ApplyConfig(Section):
    """From stored generations to text: change it and run `apply`. Only a higher drop_threshold can need the engine, by `refine`."""

    semantics: Literal["strict", "reference"] = Field(
        "strict",
        description="`strict` works chunk by chunk on parsed operations; `reference` returns byte for byte what the released executor does.",
    )
    drop_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Drop a document when the model's probability of dropping is at least this. Higher keeps more. "
        "Unset: what the card of the document refiner says. Lowering it never needs the engine. Raising it needs chunk programs for "
        "the documents that it newly keeps: `apply` leaves these as they are, `refine` generates what they lack, unless "
        "generation.chunk_below was that high before.",
    )
    min_word_ratio: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="At most this share of the words left: the document is blanked. Words are what white space separates; in "
        "scripts without blanks each letter is one (`reference` goes by white space alone).",
    )
    min_words: int = Field(
        10,
        ge=0,
        description="At most this many words left, counted as for min_word_ratio: the document is blanked. "
        "(`reference` has 10 built in.)",
    )
    max_errors: int = Field(
        2,
        ge=1,
        le=100,
        description="This many errors discard a program: of the chunk in `strict`, of the document in `reference`.",
    )


class WaveConfig(Section):
    """Work is cut in waves; a killed run loses at most what is under way: a stage of a wave, on a cluster a stage of three."""

    documents: int = Field(
        50_000,
        ge=1,
        description="Documents per wave of refine; apply, which asks no model, takes ten times as many. Generations are committed after "
        "each; smaller loses less, larger commits less.",
    )


def _as_text(value: Any) -> Any:
    """Spark's settings are strings; YAML reads `true` and `2` as something else."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, (int, float)) else value


class SparkConfig(Section):
    """The Spark session that the commands make. spark-submit and Databricks settings win over these."""

    master: str = Field("local[2]", description="Used when no master is set by spark-submit or the platform.")
    driver_memory: str = Field("1g", description="Heap of the driver JVM in local mode.")
    conf: dict[str, Annotated[str, BeforeValidator(_as_text)]] = Field(
        default_factory=dict, description="Any further spark.* settings."
    )


class Recipe(RecipeFile):
    """A whole run.

    Example:
        >>> Recipe.load("conf/recipes/cpu.yaml", overrides=["apply.drop_threshold=0.7"])  # doctest: +SKIP
    """

    name: str = Field("default", description="For logs and the runs table.")
    input: InputConfig = Field(default_factory=InputConfig, description="What to ingest.")
    lake: LakeConfig = Field(default_factory=LakeConfig, description="Where the tables are.")
    refiners: RefinerConfig = Field(default_factory=RefinerConfig, description="Which models write the programs.")
    generation: GenerationConfig = Field(default_factory=GenerationConfig, description="What is asked of them.")
    self_test: SelfTestConfig = Field(
        default_factory=SelfTestConfig, description="What their answers to a fixed sample must be like."
    )
    apply: ApplyConfig = Field(default_factory=ApplyConfig, description="How programs become text.")
    waves: WaveConfig = Field(default_factory=WaveConfig, description="How work is cut.")
    annotation: AnnotationConfig = Field(
        default_factory=AnnotationConfig, description="Which documents a teacher labels."
    )
    engine: EngineConfig = Field(default_factory=EngineConfig, description="How the models are served.")
    spark: SparkConfig = Field(default_factory=SparkConfig, description="The Spark session.")

    @property
    def drop_threshold(self) -> float:
        """`apply.drop_threshold` of a completed recipe."""
        assert self.apply.drop_threshold is not None, "the recipe was not completed by its refiners' cards"
        return self.apply.drop_threshold

    @property
    def chunk_below(self) -> float:
        """`generation.chunk_below` of a completed recipe."""
        assert self.generation.chunk_below is not None, "the recipe was not completed by its refiners' cards"
        return self.generation.chunk_below
