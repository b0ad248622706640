"""The DAGs in a real Airflow of its own environment: as it loads them, and with each service emulated as it runs them.

Databricks is a server with documented answers; EMR and EMR Serverless are moto's server, whose states the test moves.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow_home import DAGS, AirflowHome
from cluster import REPOSITORY
from fake_databricks import FAILED, RUNNING, SUCCEEDED, FakeDatabricks, ServiceError
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.exceptions import JsonRESTError
from moto.server import ThreadedMotoServer

pytestmark = pytest.mark.platform

REGION = "us-east-1"  # where this server puts what is asked of it without a host name
EMR = {"backend": "emr", "jobs": "s3://code/jobs", "operator": {"job_flow_name": "prox", "waiter_delay": 0}}
SERVERLESS = {
    "backend": "emr-serverless",
    "jobs": "s3://code/jobs",
    "operator": {"application_id": "app", "execution_role_arn": "arn:aws:iam::123456789012:role/r", "waiter_delay": 0},
}
DATABRICKS = {"backend": "databricks", "operator": {"polling_period_seconds": 0}}
BACKENDS = {"spark-submit": {}, "databricks": DATABRICKS, "emr": EMR, "emr-serverless": SERVERLESS}
PROVIDERS = {"spark-submit": "apache", "databricks": "databricks"}
LAKE = {"lake": "s3a://bucket/lake", "input": "s3a://crawl/{{ data_interval_start.strftime('%Y/%m/%d') }}/*.jsonl.zst"}
NIGHT = "2026-11-03T00:00:00+00:00"
PAGE = (REPOSITORY / "docs" / "platforms" / "airflow.md").read_text(encoding="utf-8")
# The Variables of the documentation, by the name of their backend.
DOCUMENTED = re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
DOCUMENTED += [
    text.replace("\n    ", "\n") for text in re.findall(r"airflow variables set prox_refine '(.*?)'", PAGE, re.DOTALL)
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    return AirflowHome.create(tmp_path_factory.mktemp("airflow"))


WRONG = {
    "": 'set the Airflow Variable prox_refine to a JSON object, such as {"lake":',
    "no json": "set the Airflow Variable prox_refine to a JSON object",
    "[]": "set the Airflow Variable prox_refine to a JSON object",
    '"/x"': 'it is no JSON object, such as {"lake":',
    '{"lake": ["/x"]}': "`lake` must be a text",
    '{"lake": "/x", "schedule": 5}': "`schedule` must be a text or null",
    '{"lake": "/x", "catchup": "false"}': "`catchup` must be true or false",
    '{"lake": "/x", "retries": "3"}': "`retries` must be a whole number",
    '{"lake": "/x", "retries": true}': "`retries` must be a whole number",
    '{"lake": "/x", "timeout_hours": "24"}': "`timeout_hours` must be a number",
    '{"lake": "/x", "timeout_hours": 0}': "`timeout_hours` is too small: 0",
    '{"lake": "/x", "tags": "web"}': "`tags` must be a list of texts",
    '{"lake": "/x", "conf": ["a=b"]}': "`conf` must be an object as docs/platforms/airflow.md has it",
    '{"lake": "/x", "tasks": {"refine": ["a"]}}': "`tasks` must be an object as",
    '{"lake": "/x", "tasks": {"refine": {"options": "--files a"}}}': "`tasks.refine.options` must be a list of texts",
    '{"lake": "/x", "start_date": "yesterday"}': "`start_date` or `timezone` is wrong: Invalid isoformat string: 'yesterday'",
    '{"lake": "/x", "timezone": "Berlin"}': "`start_date` or `timezone` is wrong: 'No time zone found with key Berlin'",
    '{"lake": "/x", "lakes": 1}': "no setting lakes. There are lake, catalog, backend",
    '{"backend": "emr"}': "name the lake, by either `lake` (a path or URI) or `catalog`",
    '{"lake": "/x", "backend": "yarn"}': "no backend 'yarn'. There are spark-submit, databricks, emr, emr-serverless",
    '{"lake": "/x", "tasks": {"report": {}}}': "no task report. There are ingest, refine, summary",
    '{"lake": "/x", "backend": "emr", "operator": {"job_flow_id": "j-1"}}': "`jobs` is missing",
    '{"lake": "/x", "backend": "databricks", "conf": {"spark.a": "b"}}': "`conf` and `options` of Databricks are those of its job",
    '{"lake": "/x", "backend": "emr-serverless", "jobs": "s3://b", "conf": {"spark.a": "-Db -Dc"}}': "value of `spark.a` ends, which has",
    '[{"lake": "/x"}, {"lake": "/y"}]': "more than one object has the dag_id prox_refine",
    '[{"lake": "/x"}, {"lake": "/x/", "dag_id": "b"}]': "more than one object has the lake ('--lake', '/x')",
}


@pytest.fixture(scope="module")
def loaded(home: AirflowHome) -> dict[str, Any]:
    """What Airflow finds for each backend, and for each wrong Variable."""
    variables = {name: json.dumps(LAKE | settings) for name, settings in BACKENDS.items()}
    variables["numbers"] = json.dumps({"lake": "/x", "conf": {"a": 8, "b": True}, "schedule": None, "timeout_hours": 1})
    variables["catalog"] = json.dumps({"catalog": "main.web", "retries": 5, "pool": "lake", "recipe": "r.yaml"})
    variables |= {variable: variable for variable in [*WRONG, *DOCUMENTED]}
    return dict(zip(variables, home.run("describe_dags.py", *variables.values()), strict=True))


def find_task(found: dict[str, Any], name: str) -> dict[str, Any]:
    (task,) = (task["__var"] for task in found["dags"]["prox_refine"]["tasks"] if task["__var"]["task_id"] == name)
    return found["dags"]["prox_refine"]["default_args"]["__var"] | task  # type: ignore[no-any-return]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dag_is_loaded_with_the_provider_of_its_backend_only(loaded: dict[str, Any], backend: str) -> None:
    found = loaded[backend]
    assert found["errors"] == {} and list(found["dags"]) == ["prox_refine"]
    dag = found["dags"]["prox_refine"]
    assert [task["__var"]["task_id"] for task in dag["tasks"]] == ["ingest", "refine", "summary"]
    assert [task["__var"].get("downstream_task_ids", []) for task in dag["tasks"]] == [["refine"], ["summary"], []]
    assert dag["max_active_runs"] == 1 and not dag["catchup"]
    assert {"prox_spark", backend} <= set(dag["tags"]) and LAKE["lake"] in dag["doc_md"]
    own = {name.split(".")[2] for name in found["operators"]} - {"standard"}  # Airflow's own
    assert own == {PROVIDERS.get(backend, "amazon")}


@pytest.mark.parametrize("variable", WRONG, ids=lambda variable: WRONG[variable])
def test_a_wrong_variable_is_an_import_error_that_says_what_to_change(loaded: dict[str, Any], variable: str) -> None:
    assert loaded[variable]["dags"] == {}
    assert WRONG[variable] in loaded[variable]["errors"]["prox_refine.py"].splitlines()[-1]


@pytest.mark.parametrize("variable", DOCUMENTED)
def test_a_variable_of_the_documentation_makes_a_dag(loaded: dict[str, Any], variable: str) -> None:
    assert loaded[variable]["errors"] == {} and list(loaded[variable]["dags"]) == ["prox_refine"]


def test_variables_of_the_documentation_have_the_settings_of_conf_emr() -> None:
    """On EMR a job without them has no Python with prox_spark, or no script that finds its GPU."""
    given = {each["backend"]: each for each in map(json.loads, DOCUMENTED) if "backend" in each}
    emr = REPOSITORY / "conf" / "emr"
    steps = json.loads((emr / "steps.json").read_text())
    assert {
        "ingest": given["emr"]["conf"],
        "refine": given["emr"]["conf"] | given["emr"]["tasks"]["refine"]["conf"],
    } == {name: steps[name] for name in ("ingest", "refine")}
    (defaults,) = json.loads((emr / "serverless-job.json").read_text())["configurationOverrides"][
        "applicationConfiguration"
    ]
    environment = "s3://bucket/prox/code/env.tar.gz#environment"
    assert given["emr-serverless"]["conf"] == defaults["properties"] | {"spark.archives": environment}
    readable = json.loads((emr / "iam" / "job-role.json").read_text())["Statement"][2]["Resource"]
    assert "arn:aws:s3:::BUCKET/prox/code/*" in readable
    assert all(given[name]["jobs"].startswith("s3://bucket/prox/code/") for name in ("emr", "emr-serverless"))


def test_a_dag_file_of_the_documentation_has_its_own_dag_only(home: AirflowHome, tmp_path: Path) -> None:
    shutil.copy(DAGS / "prox_refine.py", tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "nightly.py").write_text(block)
    ignored = re.findall(r'echo (\S+) >> "\$AIRFLOW_HOME/dags/(\S+)"', PAGE)
    for line, file in ignored:
        (tmp_path / file).write_text(f"{line}\n")
    (found,) = home.having(AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path)).run("describe_dags.py", "")
    assert found["errors"] == {} and list(found["dags"]) == ["nightly"]


def test_wrong_settings_of_a_dag_file_are_refused_like_those_of_the_variable(home: AirflowHome, tmp_path: Path) -> None:
    shutil.copy(DAGS / "prox_refine.py", tmp_path)
    (tmp_path / ".airflowignore").write_text("prox_refine.py\n")
    (tmp_path / "nightly.py").write_text(
        "from prox_refine import Settings, make_dag\nfrom airflow.sdk import DAG\n"
        "dag: DAG = make_dag(Settings(lake='/x', backend='yarn'))\n"
    )
    (found,) = home.having(AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path)).run("describe_dags.py", "")
    assert found["dags"] == {} and "ValueError: prox_refine: no backend 'yarn'" in found["errors"]["nightly.py"]


def test_settings_of_spark_may_be_numbers_and_there_may_be_no_schedule(loaded: dict[str, Any]) -> None:
    assert loaded["numbers"]["errors"] == {} and list(loaded["numbers"]["dags"]) == ["prox_refine"]


def test_the_form_of_a_run_has_a_schema(loaded: dict[str, Any]) -> None:
    params = dict(loaded["spark-submit"]["dags"]["prox_refine"]["params"])
    schemas = {name: param["schema"]["__var"] for name, param in params.items()}
    assert list(params) == ["input", "recipe", "set"]
    assert all(params[name]["description"] and schemas[name]["title"] for name in params)
    assert schemas["input"]["type"] == ["null", "string"] and schemas["set"]["type"] == "array"
    assert LAKE["input"] in params["input"]["description"]
    assert dict(loaded["catalog"]["dags"]["prox_refine"]["params"])["recipe"]["default"] == "r.yaml"


def test_each_table_is_an_asset_of_the_task_that_writes_it(loaded: dict[str, Any]) -> None:
    def assets(found: dict[str, Any]) -> list[list[tuple[str, str]]]:
        outlets = (find_task(found, name).get("outlets", []) for name in ("ingest", "refine", "summary"))
        return [[(asset["__var"]["name"], asset["__var"]["uri"]) for asset in each] for each in outlets]

    ingested = [("prox_refine.documents", "s3a://bucket/lake/documents")]
    assert assets(loaded["emr"]) == [ingested, [("prox_refine.refined", "s3a://bucket/lake/refined")], []]
    assert assets(loaded["catalog"])[1] == [("prox_refine.refined", "x-table://main.web.refined")]


def test_tasks_have_retries_limits_and_a_pool(loaded: dict[str, Any]) -> None:
    task = find_task(loaded["catalog"], "refine")
    assert (task["retries"], task["pool"], task["has_retry_policy"]) == (5, "lake", True)
    assert task["execution_timeout"] and task["retry_delay"] and task["max_active_tis_per_dag"] == 1


def test_the_file_imports_little_and_is_parsed_in_no_time(loaded: dict[str, Any]) -> None:
    tree = ast.parse((DAGS / "prox_refine.py").read_text(encoding="utf-8"))
    top = {name for node in tree.body if isinstance(node, ast.ImportFrom) and node.module for name in [node.module]}
    assert {name for name in top if name.startswith("airflow")} == {"airflow.sdk", "airflow.sdk.exceptions"}
    # The first time Airflow imports the provider, which it has in every process of its own.
    assert loaded["catalog"]["seconds"] < 5


def run(home: AirflowHome, *settings: dict[str, Any], conf: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Run the DAGs of these settings, one after the other, over one night."""
    named = [
        LAKE | {"retry_seconds": 0} | each | {"dag_id": f"lake-{n}", "lake": f"s3a://bucket/{n}"}
        for n, each in enumerate(settings)
    ]
    words = [json.dumps([each["dag_id"], NIGHT, conf or {}]) for each in named]
    return home.configured(named).run("run_dags.py", *words)  # type: ignore[no-any-return]


def count_tries(ended: dict[str, Any]) -> list[list[Any]]:
    return [ended["tasks"][name] for name in ("ingest", "refine", "summary")]


def test_databricks_runs_each_task_once_and_finds_it_again(home: AirflowHome) -> None:
    def tell(body: dict[str, Any], n_asked: int) -> dict[str, str]:
        if body["only"] == ["refine"] and n_asked == 2:
            raise ServiceError  # The first try fails, while the run goes on.
        return RUNNING if n_asked < 4 else SUCCEEDED

    with FakeDatabricks(tell) as databricks:
        connected = home.having(AIRFLOW_CONN_DATABRICKS_DEFAULT=databricks.connection)
        (ended,) = run(connected, DATABRICKS, conf={"set": ["apply.drop_threshold=0.5"]})
    assert ended["state"] == "success" and count_tries(ended) == [["success", 1], ["success", 2], ["success", 1]]
    assert [body["only"] for body in databricks.started] == [["ingest"], ["refine"], ["summary"]]
    given = {"lake": "s3a://bucket/0", "input": "s3a://crawl/2026/11/02/*.jsonl.zst", "drop_threshold": "0.5"}
    assert [body["job_parameters"] for body in databricks.started] == [given] * 3
    assert ended["assets"] == ["s3a://bucket/0/documents", "s3a://bucket/0/refined"]


@pytest.mark.parametrize(
    ("error", "n_tries"), [("SystemExit: 2", 1), ("SparkException: out of memory", 3)], ids=["usage", "other"]
)
def test_databricks_tries_again_unless_the_usage_is_wrong(home: AirflowHome, error: str, n_tries: int) -> None:
    with FakeDatabricks(lambda *_: FAILED, error) as databricks:
        (ended,) = run(home.having(AIRFLOW_CONN_DATABRICKS_DEFAULT=databricks.connection), DATABRICKS)
    assert count_tries(ended) == [["failed", n_tries], ["upstream_failed", 0], ["upstream_failed", 0]]
    assert (
        len(databricks.started) == n_tries
    )  # Each under a token of its own, or the failed run would be returned again.


class Emulated:
    """moto's server in this process. The test says how the jobs of EMR and EMR Serverless stand, because moto moves none.

    Attributes:
        move: is given a job before each description of it, and may set its state. An error that it raises is the answer.
    """

    def __init__(self, url: str) -> None:
        self.move: Callable[[Any], None] = lambda job: None
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self._client = partial(boto3.Session(region_name=REGION, **keys).client, endpoint_url=url)
        extra = {"region_name": REGION, "endpoint_url": url}
        self.connection = json.dumps({"conn_type": "aws", "login": "test", "password": "test", "extra": extra})

    def create_cluster(self) -> Callable[[], list[Any]]:
        """Make a cluster called `prox`. Return a function that returns its steps."""
        instances = {"KeepJobFlowAliveWhenNoSteps": True, "InstanceCount": 1, "MasterInstanceType": "m5.xlarge"}
        made = self._client("emr").run_job_flow(Name="prox", Instances=instances, ReleaseLabel="emr-7.10.0")
        steps = self._get_backend("emr").clusters[made["JobFlowId"]].steps
        return lambda: steps

    def create_application(self) -> tuple[str, Callable[[], list[Any]]]:
        """Make an application. Return its id and a function that returns its job runs."""
        made = self._client("emr-serverless").create_application(name="prox", releaseLabel="emr-7.10.0", type="SPARK")
        name = made["applicationId"]
        return name, lambda: self._get_backend("emr-serverless").job_runs.get(name, [])

    def _get_backend(self, service: str) -> Any:
        return get_backend(service)[ACCOUNT][REGION]

    @contextmanager
    def moving(self, service: str, method: str) -> Iterator[None]:
        """Let the test move what a method of moto returns."""
        backend = self._get_backend(service)
        describe = getattr(backend, method)

        def describe_moved(*arguments: Any, **named: Any) -> Any:
            job = describe(*arguments, **named)
            self.move(job)
            return job

        setattr(backend, method, describe_moved)
        yield
        delattr(backend, method)


@pytest.fixture
def aws() -> Iterator[Emulated]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield Emulated(f"http://{host}:{port}")
    server.stop()


@dataclass
class Story:
    """How jobs go: they run, and succeed. Of the first one of refine an answer is refused while it runs, and later it fails."""

    done: str
    n_asked: Counter[str] = field(default_factory=Counter)
    first_refine: str = ""

    def move(self, job: Any) -> None:
        if "jobs/refine.py" in str(vars(job)):
            self.first_refine = self.first_refine or job.id
        states = ["RUNNING", "", "RUNNING", "FAILED"] if job.id == self.first_refine else ["RUNNING", self.done]
        state = states[min(self.n_asked[job.id], len(states) - 1)]
        self.n_asked[job.id] += 1
        if not state:
            raise JsonRESTError("ValidationException", "told to refuse it")
        job.state = state


def test_emr_adds_a_step_once_finds_it_again_and_replaces_a_failed_one(home: AirflowHome, aws: Emulated) -> None:
    steps, story = aws.create_cluster(), Story("COMPLETED")
    aws.move = story.move
    settings = EMR | {"conf": {"spark.executor.cores": "7"}, "options": ["--deploy-mode", "cluster"]}
    with aws.moving("emr", "describe_step"):
        (ended,) = run(home.having(AIRFLOW_CONN_AWS_DEFAULT=aws.connection), settings, conf={"recipe": "cpu.yaml"})
    assert ended["state"] == "success" and count_tries(ended) == [["success", 1], ["success", 3], ["success", 1]]
    assert [step.name.split()[0] for step in steps()] == ["ingest", "refine", "refine", "summary"]
    assert len({step.name for step in steps()}) == 4
    submitted = [
        "spark-submit",
        "--deploy-mode",
        "cluster",
        "--conf",
        "spark.executor.cores=7",
        "s3://code/jobs/ingest.py",
    ]
    assert steps()[0].args == [
        *submitted,
        "s3a://crawl/2026/11/02/*.jsonl.zst",
        "--lake",
        "s3a://bucket/0",
        "--recipe=cpu.yaml",
    ]


def test_emr_serverless_starts_a_job_once_finds_it_again_and_replaces_a_failed_one(
    home: AirflowHome, aws: Emulated
) -> None:
    (name, runs), story = aws.create_application(), Story("SUCCESS")
    aws.move = story.move
    settings = SERVERLESS | {"operator": SERVERLESS["operator"] | {"application_id": name}}
    with aws.moving("emr-serverless", "get_job_run"):
        (ended,) = run(home.having(AIRFLOW_CONN_AWS_DEFAULT=aws.connection), settings)
    assert ended["state"] == "success" and count_tries(ended) == [["success", 1], ["success", 3], ["success", 1]]
    assert [job.job_driver["sparkSubmit"]["entryPoint"].rpartition("/")[2] for job in runs()] == [
        "ingest.py",
        "refine.py",
        "refine.py",
        "sql.py",
    ]
    assert len({job.client_token for job in runs()}) == 4


def test_emr_serverless_does_not_try_a_wrong_usage_again(home: AirflowHome, aws: Emulated) -> None:
    def fail(job: Any) -> None:
        job.state, job.state_details = (
            "FAILED",
            "Job failed, please check complete logs. ExitCode: 2. Last few exceptions: none",
        )

    name, runs = aws.create_application()
    aws.move = fail
    settings = SERVERLESS | {"operator": SERVERLESS["operator"] | {"application_id": name}}
    with aws.moving("emr-serverless", "get_job_run"):
        (ended,) = run(home.having(AIRFLOW_CONN_AWS_DEFAULT=aws.connection), settings)
    assert count_tries(ended)[0] == ["failed", 1] and len(runs()) == 1
