"""The recipe: one YAML file is one run. Field descriptions are the manual; `prox-spark config` prints them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from prox_spark.errors import RecipeError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=True)


class InputConfig(_Section):
    """What `ingest` reads and how its columns are named."""

    paths: list[str] = Field(
        default_factory=list,
        description="Files, folders or globs; local paths or URIs (s3://, gs://, hdfs://). The command line adds to them.",
    )
    format: Literal["auto", "jsonl", "parquet", "delta", "warc", "wet"] = Field(
        "auto",
        description="`auto` goes by the file name: .jsonl/.json(.gz/.zst), .parquet, .warc(.gz), .wet(.gz); a folder with _delta_log is Delta.",
    )
    text_column: str = Field("text", description="Column that holds the text.")
    id_column: str | None = Field(
        None,
        description="Column that holds a stable id. Unset: `doc_id` or `id` where the input has one, else SHA-256 of url and text.",
    )
    url_column: str | None = Field(None, description="Column that holds the URL. Unset: `url` where the input has one.")
    source: str | None = Field(
        None,
        description="Value of the `source` column. Unset: the input's own `source` column, else the name of the input path.",
    )
    max_text_chars: int = Field(
        1_000_000,
        ge=1,
        description="A longer text goes to quarantine as text_too_long: one page must not hold up a task.",
    )


class LakeConfig(_Section):
    """Where the tables are."""

    root: str | None = Field(
        None, description="Path or URI; tables lie at ROOT/<table>. Exactly one of root and catalog is set."
    )
    catalog: str | None = Field(
        None, description="NAME.SCHEMA of a catalog, such as Unity Catalog; tables are NAME.SCHEMA.<table>."
    )
    partition_by: list[str] = Field(
        default_factory=lambda: ["source"],
        description="Partition columns of documents and refined, fixed when the tables are made; a carried column becomes a string. Few values, thousands of documents in each.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> LakeConfig:
        if self.root and self.catalog:
            raise ValueError("set lake.root or lake.catalog, not both")
        return self


class RefinerConfig(_Section):
    """Which refiner serves which stage. The same name for both: one engine does both."""

    doc: str = Field(
        "web-135m",
        description="Refiner of the document stage: a known name, or a directory or hub model with refiner.yaml.",
    )
    chunk: str = Field("web-135m", description="Refiner of the chunk stage, likewise.")


class GenerationConfig(_Section):
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


class ApplyConfig(_Section):
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
        0.05, ge=0, lt=1, description="At most this share of the words left: the document is blanked."
    )
    min_words: int = Field(
        10, ge=0, description="At most this many words left: the document is blanked. (`reference` has 10 built in.)"
    )
    max_errors: int = Field(
        2,
        ge=1,
        le=100,
        description="This many errors discard a program: of the chunk in `strict`, of the document in `reference`.",
    )


class WaveConfig(_Section):
    """Work is cut in waves; a killed run loses at most one."""

    documents: int = Field(
        50_000,
        ge=1,
        description="Documents per wave. Generations are committed after each; smaller loses less, larger commits less.",
    )


class EngineConfig(_Section):
    """The vLLM engine on each executor. None of it is part of a fingerprint."""

    device: Literal["auto", "cuda", "cpu"] = Field(
        "auto", description="`auto` takes cuda where vLLM for CUDA is installed and a GPU is there."
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto",
        description="`auto` on CPU: bfloat16 where the CPU has avx512_bf16 or amx_bf16, else float32 (bfloat16 without these is 5 × slower). On CUDA: the model's own.",
    )
    max_num_seqs: int = Field(
        64,
        ge=1,
        description="Sequences the engine decodes at once. More fills a GPU (256 is usual for small refiners); past the KV cache they only queue. "
        "Rule of thumb: KV tokens ÷ (prompt + answer tokens).",
    )
    max_num_batched_tokens: int | None = Field(
        None,
        ge=16,
        description="Tokens of one engine step. Unset: twice the default of vLLM's server, which is for chats.",
    )
    window_factor: float = Field(
        1.1,
        ge=1,
        description="Requests in flight per executor = this × max_num_seqs, shared by its task slots. Below 1 the engine would starve; far above 1 they only wait inside it.",
    )
    gpu_memory_fraction: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="Share of the GPU's memory for weights and KV cache of one engine. Lower it when the start fails for memory. "
        "Two refiners side by side have an engine each: 0.45 or less where both are on one GPU.",
    )
    side_by_side: bool = Field(
        True,
        description="Two different refiners: an engine each on an executor, at the same time. `false` has one engine after the "
        "other, each with all the memory: for refiners that don't fit together. It costs a start per stage and wave, so take "
        "waves.documents as large as you can. One refiner for both stages has one engine anyway.",
    )
    quantization: str | None = Field(
        None,
        description="vLLM's --quantization, such as fp8 (Hopper and later: half the memory, faster) or bitsandbytes. Unset: as the "
        "weights are stored. It changes answers a little and is no part of a fingerprint: choose before the first run.",
    )
    tensor_parallel_size: int = Field(
        1,
        ge=1,
        description="GPUs that share one model, for refiners too large for one GPU. A small refiner is faster as one engine per GPU: leave it at 1.",
    )
    prefix_caching: bool | None = Field(
        None,
        description="Keep the KV cache of a common beginning of prompts. Unset: vLLM's choice (on). Refiner prompts share their template "
        "only; `false` saves the bookkeeping where that is short.",
    )
    cpu_kv_cache_gib: float = Field(
        1.0,
        gt=0,
        description="KV cache on CPU in GiB. SmolLM2-135M needs 23 KiB a token in bfloat16: 1 GiB holds 45,000 tokens.",
    )
    cpu_cores: str | None = Field(
        None,
        description="Cores bound to the engine on CPU, such as 0-7. Unset: on a cluster as many as the executor has (`spark.executor.cores`), none of them another executor's of this user; in local mode all. In a container with a CPU quota but no cores of its own: nobind.",
    )
    compile: bool | None = Field(
        None,
        description="Compile the model at start (torch.compile, CUDA graphs). Unset: on CUDA only. On CPU it doubles the start-up "
        "(99 against 51 s on two cores) for 8 % of throughput: worth it for runs of an hour.",
    )
    start_seconds: float = Field(
        300,
        gt=0,
        description="Deadline for the engine to become ready. A first start of a large model over a network file system needs more.",
    )
    request_seconds: float = Field(
        600,
        gt=0,
        description="Deadline of one request, waiting inside the engine included. Past it the row is an error, request_timeout.",
    )
    max_restarts: int = Field(
        3,
        ge=0,
        description="Times a dead engine is started again on an executor, after 1, 2, 4 … s, before its task fails. Finding a prompt that crashes it "
        "takes three deaths, which then no longer count: below 2 it is not found and fails the run, and 3 leave one death to chance.",
    )
    idle_seconds: float | None = Field(
        None,
        gt=0,
        description="End an engine that nobody has asked anything for so long; the next prompt starts it again. Unset: it lives as "
        "long as its executor. For long CPU stages on GPUs that others wait for.",
    )
    max_crashing_prompts: int = Field(
        10,
        ge=0,
        description="Prompts that may crash the engine of an executor; each costs up to three starts and goes to quarantine as "
        "engine_crash. One more fails the task: so many are a fault of the engine.",
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/\s]+",
        description="URL of an OpenAI-compatible server up to and with /v1, such as https://llm.example.org/v1; its /completions is asked, with "
        "prompts as token ids. Executors start no engine then: max_num_seqs and window_factor say how many requests each has in "
        "flight, all other fields but request_seconds and these do nothing. The document stage needs vLLM behind it (allowed_token_ids, "
        "logprob_token_ids), and so does generation.grammar; the chunk stage takes any server that accepts token ids.",
    )
    endpoint_model: str | None = Field(
        None, description="Name of the model at the endpoint. Unset: the name of the stage's refiner."
    )
    endpoint_key_variable: str | None = Field(
        None,
        pattern=r"^[A-Z_][A-Z0-9_]*$",
        description="Environment variable on the executors that holds the endpoint's key, in capitals, such as LLM_TOKEN (set it by "
        "spark.executorEnv.LLM_TOKEN or the platform's secrets; Spark hides settings whose names hold `token`). The key itself has no place in a recipe. Unset: no key.",
    )
    endpoint_tries: int = Field(
        8,
        ge=1,
        description="Times a request is sent while the endpoint is busy (429), fails (5xx) or can't be reached, before the task fails. The waits "
        "between double from half a second to a minute, or are what the endpoint asks for (Retry-After).",
    )
    extra_args: list[str] = Field(
        default_factory=list,
        description="Further arguments of `vllm serve`, such as --seed 1. They win over the fields.",
    )


def _as_text(value: Any) -> Any:
    """Spark's settings are strings; YAML reads `true` and `2` as something else."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, (int, float)) else value


class SparkConfig(_Section):
    """The Spark session that the commands make. spark-submit and Databricks settings win over these."""

    master: str = Field("local[2]", description="Used when no master is set by spark-submit or the platform.")
    driver_memory: str = Field("1g", description="Heap of the driver JVM in local mode.")
    conf: dict[str, Annotated[str, BeforeValidator(_as_text)]] = Field(
        default_factory=dict, description="Any further spark.* settings."
    )


class Recipe(_Section):
    """A whole run.

    Example:
        >>> Recipe.load("conf/recipes/cpu.yaml", overrides=["apply.drop_threshold=0.7"])  # doctest: +SKIP
    """

    name: str = Field("default", description="For logs and the runs table.")
    input: InputConfig = Field(default_factory=InputConfig, description="What to ingest.")
    lake: LakeConfig = Field(default_factory=LakeConfig, description="Where the tables are.")
    refiners: RefinerConfig = Field(default_factory=RefinerConfig, description="Which models write the programs.")
    generation: GenerationConfig = Field(default_factory=GenerationConfig, description="What is asked of them.")
    apply: ApplyConfig = Field(default_factory=ApplyConfig, description="How programs become text.")
    waves: WaveConfig = Field(default_factory=WaveConfig, description="How work is cut.")
    engine: EngineConfig = Field(default_factory=EngineConfig, description="How the models are served.")
    spark: SparkConfig = Field(default_factory=SparkConfig, description="The Spark session.")

    @classmethod
    def load(cls, path: str | Path | None = None, overrides: Iterable[str] = ()) -> Recipe:
        """Reads a recipe file and applies `key=value` overrides.

        Args:
            path: a YAML file; None for all defaults.
            overrides: `section.field=value`, value in YAML (`apply.drop_threshold=0.7`, `input.paths=[a, b]`).

        Raises:
            RecipeError: no such file, not YAML, an unknown key or a value out of range; the message names each.
        """
        data: Any = {}
        if path is not None:
            try:
                data = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
            except OSError as error:
                raise RecipeError(f"can't read the recipe {path}: {error.strerror}") from error
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise RecipeError(f"{path} is not YAML: {error}") from error
            if not isinstance(data, dict):
                raise RecipeError(
                    f"{path} must hold a mapping such as `lake: {{root: ./lake}}`, not a {type(data).__name__}"
                )
        for override in overrides:
            _set(data, override)
        return cls.parse(data, origin=str(path or "the command line"))

    @classmethod
    def parse(cls, data: dict[str, Any], origin: str = "the recipe") -> Recipe:
        """Validates a mapping; a RecipeError names every bad field."""
        try:
            # `engine:` with all its fields commented out is an empty section.
            return cls.model_validate({name: section for name, section in data.items() if section is not None})
        except ValidationError as error:
            lines = [
                f"  {'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']} (got {e.get('input')!r})"
                for e in error.errors()
            ]
            raise RecipeError(
                f"{origin} is not a valid recipe:\n" + "\n".join(lines) + "\nSee `prox-spark config` for every field."
            ) from error

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

    def redacted(self) -> dict[str, Any]:
        """The recipe as JSON-ready data, with what looks like a secret hidden."""
        redacted: dict[str, Any] = _redacted(self.model_dump(mode="json"))
        return redacted


_SECRET = r"[\w.-]*(?:secret|passw|token|credential|(?:access|account|private|api)[._-]?key|Env\.\w*key|\.sas\.)[\w.-]*"
_HIDDEN = "*** redacted ***"


def _redacted(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _redacted(item, name) for name, item in value.items()}
    if isinstance(value, list):
        # `--hf-token VALUE`: an argument is hidden by the one before it.
        return [
            _redacted(item, before if str(before).startswith("--") else "")
            for before, item in zip(["", *value], value, strict=False)
        ]
    if not isinstance(value, str):
        return value
    if re.fullmatch(_SECRET, key.lstrip("-"), re.IGNORECASE):
        return _HIDDEN
    # The part of a presigned URL that signs it: sig=, X-Amz-Signature=.
    value = re.sub(r"(\b(?:[\w-]*signature|sig)=)[^&\s]+", rf"\1{_HIDDEN}", value, flags=re.IGNORECASE)
    value = re.sub(rf"({_SECRET}=)\S+", rf"\1{_HIDDEN}", value, flags=re.IGNORECASE)
    return re.sub(r"://[^/@\s]+@", f"://{_HIDDEN}@", value)


def fingerprint(*parts: object) -> str:
    """SHA-256 (hex) over the canonical JSON of the parts: equal parts give equal prints on every platform."""
    return hashlib.sha256(
        json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    ).hexdigest()


def _set(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise RecipeError(f"--set {override!r}: write section.field=value, such as apply.drop_threshold=0.7")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override!r}: the value is not YAML: {error}") from error
    target = data
    for part in path[:-1]:
        # A dict-valued field with dots in its keys (spark.conf) takes the rest of the path as one key.
        if target.setdefault(part, {}) is None:
            target[part] = {}
        target = target[part]
        if not isinstance(target, dict):
            raise RecipeError(f"--set {override!r}: {part} is a value, not a section")
        if path[:2] == ["spark", "conf"] and part == "conf":
            target[".".join(path[2:])] = str(value)
            return
    target[path[-1]] = parsed


def reference() -> str:
    """Every field of the recipe with its type, default and description, as text."""
    lines: list[str] = []
    for name, field in Recipe.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            lines += [f"{name}:  # {' '.join((section.__doc__ or '').split())}"]
            for key, sub in section.model_fields.items():
                lines += _describe(f"  {key}", sub)
        else:
            lines += _describe(name, field)
        lines.append("")
    return "\n".join(lines)


def _describe(name: str, field: Any) -> list[str]:
    default = field.get_default(call_default_factory=True)
    shown = "" if default is None else json.dumps(default)
    kind = (
        str(field.annotation).replace("typing.", "")
        if not isinstance(field.annotation, type)
        else field.annotation.__name__
    )
    indent = " " * (len(name) - len(name.lstrip()) + 2)
    return [f"{name}: {shown}".rstrip(), f"{indent}# {kind}. {field.description}"]
