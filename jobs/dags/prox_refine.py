"""Airflow DAGs that refine lakes: ingest → refine → summary, by spark-submit, Databricks, EMR or EMR Serverless.

The Airflow Variable `prox_refine` configures them: a JSON object for one lake, a list of them for several. Workers need nothing
of prox_spark but the jobs that they submit, and only the provider of the chosen backend is imported. See docs/platforms/airflow.md.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from airflow.sdk import (
    DAG,
    Asset,
    BaseOperator,
    CronDataIntervalTimetable,
    Param,
    ResumableJobMixin,
    RetryDecision,
    RetryPolicy,
    Variable,
)
from airflow.sdk.exceptions import AirflowException

if TYPE_CHECKING:
    from airflow.sdk import Context

VARIABLE = "prox_refine"
_NAMES = {"dag_id": "dag_id", "place": "lake"}
_EXAMPLE = '{"lake": "s3a://bucket/lake"}'
_HELP = "see docs/platforms/airflow.md"
_KINDS: dict[Any, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list of texts",
    dict: f"an object as {_HELP.removeprefix('see ')} has it",
    UnionType: "a text or null",
}
_SUMMARY = """
SELECT command, status, started_at, round(seconds['total'], 1) AS seconds, prompt_tokens, output_tokens, engine_starts,
  map_filter(counts, (name, n) -> n > 0) AS counts, error
FROM runs ORDER BY started_at DESC LIMIT 5
"""


@dataclass(frozen=True)
class Job:
    """A job of prox_spark that is a task of the DAG.

    Attributes:
        name: the task's id, and the key of the task in the Databricks job.
        command: the command of prox-spark, which is the name of the job's file.
        words: what its command line has besides what all have, as templates. Each line of a rendered one is an argument.
        tables: tables that it writes. Each is an asset.
    """

    name: str
    command: str
    words: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


# In the order in which they run. One more job of the command line is one more line.
JOBS = (
    Job("ingest", "ingest", words=("{{ params.input }}",), tables=("documents",)),
    Job("refine", "refine", tables=("refined",)),
    Job("summary", "sql", words=(" ".join(_SUMMARY.split()),)),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a JSON object of the Airflow Variable may hold. Each value is checked."""

    lake: str = ""
    catalog: str = ""
    backend: str = "spark-submit"
    dag_id: str = VARIABLE
    input: str = ""
    recipe: str = ""
    schedule: str | None = "@daily"
    timezone: str = "UTC"
    start_date: str = "2026-01-01"
    catchup: bool = False
    retries: int = 2
    retry_seconds: float = 300
    timeout_hours: float = 24
    pool: str = "default_pool"
    tags: list[str] = field(default_factory=list)
    jobs: str = ""
    conf: dict[str, str | float | bool] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    operator: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Settings:
        """Return the settings of a JSON object.

        Raises:
            ValueError: it has an unknown field or a wrong value, or names no lake.
        """
        if not isinstance(given, dict):
            raise ValueError(f"{VARIABLE}: it is no JSON object, such as {_EXAMPLE}, nor a list of them; {_HELP}")
        known = [each.name for each in fields(cls)]
        if unknown := sorted(given.keys() - set(known)):
            raise ValueError(f"{VARIABLE}: no setting {', '.join(unknown)}. There are {', '.join(known)}; {_HELP}")
        return cls(**given)

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ValueError: one has a wrong value, or no lake is named.
        """
        hints = get_type_hints(type(self))
        for name, hint in hints.items():
            _check(name, getattr(self, name), hint)
        self._check_times()
        if bool(self.lake) == bool(self.catalog):
            raise ValueError(f"{VARIABLE}: name the lake, by either `lake` (a path or URI) or `catalog` (NAME.SCHEMA)")
        if self.backend not in BACKENDS:
            raise ValueError(f"{VARIABLE}: no backend {self.backend!r}. There are {', '.join(BACKENDS)}")
        if unknown := sorted(self.tasks.keys() - {job.name for job in JOBS}):
            raise ValueError(
                f"{VARIABLE}: no task {', '.join(unknown)}. There are {', '.join(job.name for job in JOBS)}"
            )
        for task, own in self.tasks.items():
            for name in own.keys() & {"conf", "options"}:
                _check(f"tasks.{task}.{name}", own[name], hints[name])
        if self.backend.startswith("emr") and not self.jobs:
            raise ValueError(f"{VARIABLE}: `jobs` is missing, the folder of the job files, such as s3://bucket/jobs")

    def _check_times(self) -> None:
        for name, is_right in {
            "retries": self.retries >= 0,
            "retry_seconds": self.retry_seconds >= 0,
            "timeout_hours": self.timeout_hours > 0,
        }.items():
            if not is_right:
                raise ValueError(f"{VARIABLE}: `{name}` is too small: {getattr(self, name)}")
        try:
            self.first_night  # noqa: B018  # It is made of both.
        except (ValueError, KeyError, OSError) as wrong:
            raise ValueError(f"{VARIABLE}: `start_date` or `timezone` is wrong: {wrong}") from None

    @property
    def first_night(self) -> datetime:
        """The date from which runs start."""
        return datetime.fromisoformat(self.start_date).replace(tzinfo=ZoneInfo(self.timezone))

    @property
    def place(self) -> tuple[str, str]:
        """The option of the command line that names the lake, and its value."""
        return ("--lake", self.lake.rstrip("/")) if self.lake else ("--catalog", self.catalog)

    def locate_job(self, job: Job) -> str:
        """Return where the file of a job lies: by default, in the folder above this file's."""
        return f"{self.jobs.rstrip('/') or Path(__file__).parents[1]}/{job.command}.py"

    def make_asset(self, table: str) -> Asset:
        """Return the asset that a table is."""
        if self.lake:
            root = self.place[1]
            uri = f"{root}/{table}" if "://" in root else Path(f"{root}/{table}").absolute().as_uri()
        else:
            uri = f"x-table://{self.catalog}.{table}"
        return Asset(name=f"{self.dag_id}.{table}", uri=uri, group="prox_spark")

    def merge(self, job: Job) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
        """Return Spark's settings, the options of spark-submit and the arguments of the operator for a job."""
        own = dict(self.tasks.get(job.name, {}))
        conf = self.conf | own.pop("conf", {})
        options = own.pop("options", self.options)
        return conf, options, self.operator | own


def _check(name: str, value: Any, hint: Any) -> None:
    """Raise ValueError if a value is not of its field's type. The message may be seen by more people than the value may."""
    if not _fits(value, hint):
        raise ValueError(f"{VARIABLE}: `{name}` must be {_KINDS[get_origin(hint) or hint]}")


def _fits(value: Any, hint: Any) -> bool:
    """Return True if a value of JSON is of an annotated type."""
    parts = get_args(hint)
    if isinstance(hint, UnionType):
        return any(_fits(value, part) for part in parts)
    if get_origin(hint) is dict:
        return isinstance(value, dict) and all(_fits(each, parts[1]) for each in value.values())
    if get_origin(hint) is list:
        return isinstance(value, list) and all(_fits(each, parts[0]) for each in value)
    if isinstance(value, bool):
        return hint in (bool, Any)
    return hint is Any or isinstance(value, (int, float) if hint is float else hint)


class UsageErrorsAreFinal(RetryPolicy):
    """A policy that fails a task at once where starting it again can't help: its job ended with status 2."""

    # How the backends write the exit status of a job: spark-submit (client, YARN, Kubernetes), Databricks, EMR Serverless.
    _STATUS_2 = re.compile(
        r"Error code is: 2\.|User application exited with status 2\b|exit_code=2\b|spark exit code is: 2\b"
        r"|SystemExit: 2\b|ExitCode: 2\b"
    )

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Return the decision about one failure."""
        if type(exception).__name__ == "UndefinedError":
            return RetryDecision.fail(
                f"the run has no value for a template of the input ({exception}): start it with a logical date, or with the parameter `input`"
            )
        if self._STATUS_2.search(str(exception)):
            return RetryDecision.fail("the recipe or the usage is wrong (status 2): see the job's last message")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return nothing: only workers evaluate the policy, from this file."""
        return {}


def make_dag(settings: Settings, **dag_arguments: Any) -> DAG:
    """Make the DAG that refines a lake.

    Args:
        settings: see docs/platforms/airflow.md.
        dag_arguments: further arguments of `DAG`, such as `on_failure_callback`. They go before those made of the settings.

    Raises:
        ValueError: the backend has no such setting.
    """
    arguments: dict[str, Any] = {
        "dag_id": settings.dag_id,
        "description": f"Ingest into {settings.place[1]} and refine what is new, by {settings.backend}",
        "doc_md": _describe(settings),
        "schedule": _make_timetable(settings),
        "start_date": settings.first_night,
        "catchup": settings.catchup,
        # A lake has one writer at a time. Backfills don't count here, but each of their tasks does below.
        "max_active_runs": 1,
        "dagrun_timeout": timedelta(hours=settings.timeout_hours * len(JOBS)),
        "tags": ["prox_spark", settings.backend, *settings.tags],
        "params": _make_params(settings),
        "default_args": {
            "owner": "prox_spark",
            "retries": settings.retries,
            "retry_delay": timedelta(seconds=settings.retry_seconds),
            "retry_policy": UsageErrorsAreFinal(),
            "execution_timeout": timedelta(hours=settings.timeout_hours),
            "max_active_tis_per_dag": 1,
            "pool": settings.pool,
        },
    }
    dag = DAG(**arguments | dag_arguments)
    before: BaseOperator | None = None
    for job in JOBS:
        task = BACKENDS[settings.backend](
            settings, job, dag=dag, task_id=job.name, outlets=_make_outlets(settings, job)
        )
        if before:
            before.set_downstream(task)
        before = task
    return dag


def _make_outlets(settings: Settings, job: Job) -> list[Asset]:
    return [settings.make_asset(table) for table in job.tables]


def _make_timetable(settings: Settings) -> CronDataIntervalTimetable | None:
    """Return a timetable whose runs have a data interval. A plain cron string of Airflow 3 gives them an empty one."""
    return CronDataIntervalTimetable(settings.schedule, timezone=settings.timezone) if settings.schedule else None


def _make_params(settings: Settings) -> dict[str, Param]:
    """Return the fields of the form that starts a run by hand. A value that starts with a dash would be an option."""
    return {
        "input": Param(
            None,
            type=["null", "string"],
            pattern=r"^[^-\s][^\n]*$",
            title="Input",
            description=f"File, folder or glob to ingest. Empty: {f'`{settings.input}`' if settings.input else 'what the recipe names'}",
        ),
        "recipe": Param(
            settings.recipe or None,
            type=["null", "string"],
            pattern=r"^[^-\s][^\n]*$",
            title="Recipe",
            description="Recipe, a YAML file where the driver can read it. Empty: the defaults.",
        ),
        "set": Param(
            [],
            type="array",
            items={"type": "string", "pattern": r"^[a-z_]+(\.[\w-]+)+=[^\n]*$"},
            title="Fields of the recipe",
            description="One a line, such as apply.drop_threshold=0.5",
        ),
    }


def _make_words(settings: Settings, job: Job) -> list[str]:
    """Return templates of the command line. A rendered one is as many arguments as it has lines, which may be none."""
    # A parameter of the run goes before the input of its data interval.
    words = [word.replace("{{ params.input }}", _INPUT % settings.input) for word in job.words]
    return [*words, *settings.place, _RECIPE, _OVERRIDES]


_INPUT = "{%% if params.input %%}{{ params.input }}{%% else %%}%s{%% endif %%}"
_RECIPE = "{% if params.recipe %}--recipe={{ params.recipe }}{% endif %}"
_OVERRIDES = "{% for override in params['set'] %}--set={{ override }}\n{% endfor %}"


def _split(words: Iterable[str]) -> list[str]:
    # Not splitlines, which would make options of the rest of a parameter after a carriage return and the like.
    return [line for word in words for line in word.split("\n") if line.strip()]


class JobTask(BaseOperator):
    """What the tasks of all backends do besides what their operators do."""

    def execute(self, context: Context) -> Any:
        """Run the job. A later try finds the one that an earlier try has left running, until it has ended well."""
        self.prepare(context)
        result = super().execute(context)
        # Airflow keeps the id of the job after its success, and a task that is cleared to run once more would start nothing.
        if (store := context.get("task_state_store")) is not None:
            store.clear()
        return result

    def prepare(self, context: Context) -> None:
        """Make arguments of rendered templates, in place."""

    def make_token(self, context: Context) -> str:
        """Return a name for the next start of the job: the same until a start under this name is known to have failed.

        A try that was killed before it could note what it had started finds it by this name.
        """
        ti, store = context["ti"], context.get("task_state_store")
        is_noted = store is not None and not self.deferrable  # type: ignore[attr-defined]
        before = store.get(self.external_id_key) if is_noted else ti.try_number  # type: ignore[attr-defined]
        # Clearing a task raises max_tries, and the job is to run once more.
        return str(uuid5(NAMESPACE_URL, f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.max_tries}/{before}"))


def _make_spark_submit(settings: Settings, job: Job, **common: Any) -> BaseOperator:
    """Make a task that runs spark-submit on the worker. The connection names the master."""
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

    class ProxSparkSubmitOperator(JobTask, SparkSubmitOperator):
        def prepare(self, context: Context) -> None:
            self.application_args = _split(self.application_args or [])

        def _get_hook(self) -> Any:
            hook = super()._get_hook()
            hook.submit = partial(hook.submit, preexec_fn=_make_end_with_parent())
            return hook

    conf, options, operator = settings.merge(job)
    _refuse_options(options, "the arguments of SparkSubmitOperator in `operator`")
    arguments = {
        "application": settings.locate_job(job),
        "application_args": _make_words(settings, job),
        "conf": conf,
        "name": f"{settings.dag_id} {job.name}",
        "durable": True,
    }
    return ProxSparkSubmitOperator(**arguments | operator | common)


def _make_end_with_parent() -> Callable[[], None] | None:
    """Return what a child process does before its program starts, to end when this process ends; None where there is no such thing.

    A driver that outlives its killed task would ask the same prompts as the next try, and both would pay.
    """
    import ctypes
    import sys

    if sys.platform != "linux":
        return None
    prctl, parent, pdeathsig = ctypes.CDLL(None).prctl, os.getpid(), 1

    def end_with_parent() -> None:
        prctl(pdeathsig, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return end_with_parent


def _make_databricks(settings: Settings, job: Job, **common: Any) -> BaseOperator:
    """Make a task that runs one task of the job that the bundle in conf/databricks deploys."""
    from airflow.providers.databricks.operators.databricks import DatabricksRunNowOperator

    class ProxDatabricksOperator(JobTask, DatabricksRunNowOperator):
        def prepare(self, context: Context) -> None:
            self.idempotency_token = self.make_token(context)
            overrides = dict(line.split("=", 1) for line in _split([self.job_parameters.pop("set", "")]))
            named = {name.rpartition(".")[2]: value for name, value in overrides.items()}
            # What is left out keeps the job's own default.
            self.job_parameters = {name: value for name, value in (self.job_parameters | named).items() if value}

    conf, options, operator = settings.merge(job)
    if conf or options:
        raise ValueError(f"{VARIABLE}: `conf` and `options` of Databricks are those of its job: set them there")
    arguments = {
        "job_name": None if "job_id" in operator else "prox_spark refine",
        "json": {"only": [job.name]},
        "job_parameters": {
            settings.place[0].removeprefix("--"): settings.place[1],
            "input": _INPUT % settings.input,
            "recipe": "{{ params.recipe or '' }}",
            "set": "{% for override in params['set'] %}{{ override }}\n{% endfor %}",
        },
        "forward_dag_params": False,
        "deferrable": False,
        "durable": True,
    }
    return ProxDatabricksOperator(**arguments | operator | common)


class ResumableAwsJob(ResumableJobMixin):
    """A job of EMR that a later try finds again. Subclasses say how it is started and how it stands."""

    external_id_key = "emr_job"
    _ACTIVE = frozenset({"SUBMITTED", "QUEUED", "PENDING", "SCHEDULED", "RUNNING", "CANCEL_PENDING", "CANCELLING"})
    _DONE = frozenset({"COMPLETED", "SUCCESS"})

    def describe(self, external_id: Any) -> tuple[str, str]:
        """Return the job's state and the reason of it."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Start the job, or find it again, and wait for its end."""
        return self.execute_resumable(context)

    def get_job_status(self, external_id: Any, context: Context) -> str:
        """Return the state of a job."""
        return self.describe(external_id)[0]

    def is_job_active(self, status: str) -> bool:
        """Return True if a job in this state has not ended."""
        return status in self._ACTIVE

    def is_job_succeeded(self, status: str) -> bool:
        """Return True if a job in this state has ended well."""
        return status in self._DONE

    def poll_until_complete(self, external_id: Any, context: Context) -> None:
        """Wait for the end of a job.

        Raises:
            AirflowException: it did not end well.
        """
        self.job_id = external_id  # What on_kill cancels.
        while True:
            state, reason = self.describe(external_id)
            self.log.info("Job %s is %s. %s", external_id, state, reason)
            if self.is_job_succeeded(state):
                return
            if not self.is_job_active(state):
                raise AirflowException(f"job {external_id} ended as {state}: {reason or 'no reason given'}")
            time.sleep(self.waiter_delay)  # type: ignore[attr-defined]

    def get_job_result(self, external_id: Any, context: Context) -> Any:
        """Return the job's id."""
        return external_id


def _make_emr(settings: Settings, job: Job, **common: Any) -> BaseOperator:
    """Make a task that is a step of a cluster."""
    from airflow.providers.amazon.aws.operators.emr import EmrAddStepsOperator

    class ProxEmrStepOperator(JobTask, ResumableAwsJob, EmrAddStepsOperator):
        job_id: str | None = None

        def prepare(self, context: Context) -> None:
            cluster = self.job_flow_id or self.hook.get_cluster_id_by_name(self.job_flow_name, self.cluster_states)
            if not cluster:
                raise AirflowException(
                    f"no cluster {self.job_flow_name!r} in the states {', '.join(self.cluster_states)}"
                )
            self.job_flow_id, self.job_flow_name = cluster, None
            step = self.steps[0]["HadoopJarStep"]
            step["Args"] = _split(step["Args"])

        def submit_job(self, context: Context) -> str:
            name = self.steps[0]["Name"] = f"{job.name} {self.make_token(context)}"
            found = self.hook.conn.list_steps(ClusterId=self.job_flow_id, StepStates=["PENDING", "RUNNING"])["Steps"]
            for step in found:
                if step["Name"] == name:
                    return str(step["Id"])
            (added,) = EmrAddStepsOperator.execute(self, context)
            return str(added)

        def describe(self, external_id: str) -> tuple[str, str]:
            status = self.hook.conn.describe_step(ClusterId=self.job_flow_id, StepId=external_id)["Step"]["Status"]
            reason = status.get("FailureDetails") or status.get("StateChangeReason") or {}
            return status["State"], ", ".join(f"{key}: {value}" for key, value in reason.items() if value)

        def on_kill(self) -> None:
            if self.job_id:
                self.hook.conn.cancel_steps(ClusterId=self.job_flow_id, StepIds=[self.job_id])

    conf, options, operator = settings.merge(job)
    words = ["spark-submit", *options, *_make_conf_words(conf), settings.locate_job(job), *_make_words(settings, job)]
    step = {
        "Name": job.name,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": words},
    }
    arguments = {"steps": [step], "cluster_states": ["WAITING", "RUNNING"], "deferrable": False}
    return ProxEmrStepOperator(**arguments | operator | common)


def _make_emr_serverless(settings: Settings, job: Job, **common: Any) -> BaseOperator:
    """Make a task that is a job run of an application of EMR Serverless."""
    from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator

    class ProxEmrServerlessOperator(JobTask, ResumableAwsJob, EmrServerlessStartJobOperator):
        def prepare(self, context: Context) -> None:
            driver = self.job_driver["sparkSubmit"]
            driver["entryPointArguments"] = _split(driver["entryPointArguments"])

        def submit_job(self, context: Context) -> str:
            self.client_request_token = self.make_token(context)
            return str(EmrServerlessStartJobOperator.execute(self, context))

        def describe(self, external_id: str) -> tuple[str, str]:
            run = self.hook.conn.get_job_run(applicationId=self.application_id, jobRunId=external_id)["jobRun"]
            return run["state"], run.get("stateDetails", "")

    conf, options, operator = settings.merge(job)
    driver: dict[str, Any] = {
        "entryPoint": settings.locate_job(job),
        "entryPointArguments": _make_words(settings, job),
    }
    _refuse_white_space(conf)
    if parameters := " ".join([*options, *_make_conf_words(conf)]):  # AWS refuses an empty string.
        driver["sparkSubmitParameters"] = parameters
    arguments = {
        "job_driver": {"sparkSubmit": driver},
        "name": f"{settings.dag_id} {job.name}",
        "wait_for_completion": False,  # We wait, so that the id is noted before.
        "deferrable": False,
    }
    return ProxEmrServerlessOperator(**arguments | operator | common)


def _make_conf_words(conf: Mapping[str, Any]) -> list[str]:
    return [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]


def _refuse_white_space(conf: Mapping[str, Any]) -> None:
    """Raise ValueError if a value has white space, because EMR Serverless takes the options of spark-submit as one text."""
    if torn := [key for key, value in conf.items() if re.search(r"\s", str(value))]:
        raise ValueError(
            f"{VARIABLE}: EMR Serverless can't be told where the value of `{torn[0]}` ends, which has white space: give it in "
            "`operator.configuration_overrides`, among spark-defaults of the applicationConfiguration"
        )


def _refuse_options(options: list[str], instead: str) -> None:
    if options:
        raise ValueError(f"{VARIABLE}: this backend has no `options`: use {instead}")


BACKENDS: dict[str, Callable[..., BaseOperator]] = {
    "spark-submit": _make_spark_submit,
    "databricks": _make_databricks,
    "emr": _make_emr,
    "emr-serverless": _make_emr_serverless,
}


def _describe(settings: Settings) -> str:
    """Return what the page of the DAG says."""
    return f"""
### Refine `{settings.place[1]}`

Tasks: {" → ".join(f"`{job.name}`" for job in JOBS)}, by **{settings.backend}**.

* A run ingests `{settings.input or "what the recipe names"}` and refines what is new or changed. A run over unchanged input starts no engine.
* A task that failed or was killed goes on where it stopped: it finds its job again where that still runs, and pays only for what is missing.
* Status 2 (the recipe or the usage is wrong) is final, and is not tried again.
* The log of `summary` shows the last runs: status, counts, tokens.

The Airflow Variable `{VARIABLE}` holds the settings. docs/platforms/airflow.md of prox_spark explains them.
"""


def _load() -> list[DAG]:
    """Make the DAGs that the Variable configures.

    Raises:
        ValueError: it is missing or wrong.
    """
    given = Variable.get(VARIABLE, default=None, deserialize_json=True)
    if not given:  # Airflow gives a text that is no JSON as a missing one.
        raise ValueError(f"set the Airflow Variable {VARIABLE} to a JSON object, such as {_EXAMPLE}; {_HELP}")
    each = [Settings.of(one) for one in (given if isinstance(given, list) else [given])]
    for name in ("dag_id", "place"):
        values = [getattr(settings, name) for settings in each]
        if twice := {value for value in values if values.count(value) > 1}:
            raise ValueError(f"{VARIABLE}: more than one object has the {_NAMES[name]} {twice.pop()}")
    return [make_dag(settings) for settings in each]


if __name__ != "prox_refine":  # Imported for make_dag by a DAG file of yours, which then has the DAGs of its own only.
    globals().update({dag.dag_id: dag for dag in _load()})
