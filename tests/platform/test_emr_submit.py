"""conf/emr/submit.py from end to end, against moto's server with the states moved by a story."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto.core.exceptions import ServiceException
from moto.emr.responses import ElasticMapReduceResponse
from moto.emrserverless import models as serverless_models
from moto_emr import ROLE, SECRET, MotoEmr, job_state, run_moto_emr, states
from prox_emr.main import main
from waiting import wait_until

pytestmark = [
    pytest.mark.platform,
    # moto knows the errors of its services only; the script sees these as it would from AWS.
    pytest.mark.filterwarnings("ignore:Exception.* does not match an error shape"),
]

ROOT = Path(__file__).parents[2]
STAGE = "s3://bucket/prox"
WORK = ["--stage", STAGE, "--lake", "s3://bucket/lake", "--poll-seconds", "0.001", "--log-wait-seconds", "5"]
INGEST = ["--input", "s3://bucket/crawl/*.jsonl"]
CREATE = ["--create", "--subnet", "subnet-1", "--instance-profile", "prox-spark-job"]
ENDPOINT = ["--set", "engine.endpoint=http://llm.example.org/v1"]


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[MotoEmr]:
    with run_moto_emr(monkeypatch) as running:
        running.client("s3").create_bucket(Bucket="bucket")
        yield running


@pytest.fixture
def dist(tmp_path: Path) -> list[str]:
    """What `make package` leaves, by its names."""
    (tmp_path / "prox_spark-1.0-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "env.tar.gz").write_bytes(b"environment")
    return ["--dist", str(tmp_path)]


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


@pytest.fixture
def submit(moto: MotoEmr, dist: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the script in this process, and looks for the secret key in all that it prints."""

    def run(*arguments: str) -> Ended:
        status = main([*WORK, *dist, *arguments])
        printed = capsys.readouterr()
        assert SECRET not in printed.out + printed.err and "Traceback" not in printed.err
        return Ended(status, printed.out, printed.err)

    return run


def make_cluster(moto: MotoEmr, *steps: str) -> str:
    """A cluster of someone else that runs, with steps of theirs."""
    jar = {"Jar": "command-runner.jar"}
    return moto.client("emr").run_job_flow(  # type: ignore[no-any-return]
        Name="shared",
        LogUri="s3n://bucket/prox/logs/",
        Instances={"KeepJobFlowAliveWhenNoSteps": True},
        Steps=[{"Name": name, "HadoopJarStep": jar} for name in steps],
    )["JobFlowId"]


def test_a_new_cluster_is_waited_for_through_all_its_states(moto: MotoEmr, submit: Any) -> None:
    moto.tell(
        states("PENDING", "PENDING", cluster="STARTING"),
        states("PENDING", "PENDING", cluster="BOOTSTRAPPING"),
        states("RUNNING", "PENDING"),
        states("RUNNING", "PENDING"),
        states("COMPLETED", "RUNNING"),
        states("COMPLETED", "COMPLETED", cluster="TERMINATING", code="ALL_STEPS_COMPLETED"),
    )
    end = submit("refine", "ingest", *CREATE, *INGEST, "--token", "nightly-1")
    assert end.status == 0, end.err
    told = re.findall(r"  (ingest .*?)  \(", end.out)
    assert told == [
        "ingest PENDING, refine PENDING; cluster STARTING",
        "ingest PENDING, refine PENDING; cluster BOOTSTRAPPING",
        "ingest RUNNING, refine PENDING; cluster RUNNING",
        "ingest COMPLETED, refine RUNNING; cluster RUNNING",
        "ingest COMPLETED, refine COMPLETED; cluster TERMINATING",
    ]
    cluster = moto.cluster
    assert f"#/clusterDetails/{cluster.id}" in end.out and f"logs: {STAGE}/logs/{cluster.id}/" in end.out
    assert [step.name for step in cluster.steps] == ["prox_spark ingest nightly-1", "prox_spark refine nightly-1"]
    assert [step.action_on_failure for step in cluster.steps] == ["TERMINATE_CLUSTER", "TERMINATE_CLUSTER"]


def test_the_cluster_finds_in_s3_what_its_request_names(moto: MotoEmr, submit: Any) -> None:
    moto.tell(states("COMPLETED"))
    assert submit("refine", *CREATE).status == 0
    (bootstrap,) = moto.cluster.bootstrap_actions
    named = [bootstrap.script_path, *bootstrap.args[:2], *(w for w in moto.cluster.steps[0].args if w.endswith(".py"))]
    there = [found["Key"] for found in moto.client("s3").list_objects_v2(Bucket="bucket")["Contents"]]
    assert sorted(uri.removeprefix("s3://bucket/") for uri in named) == sorted(there)
    script = moto.client("s3").get_object(Bucket="bucket", Key=bootstrap.script_path.removeprefix("s3://bucket/"))
    assert script["Body"].read() == (ROOT / "conf" / "emr" / "bootstrap.sh").read_bytes()


def test_a_second_start_with_the_same_token_waits_for_the_first(moto: MotoEmr, submit: Any) -> None:
    assert submit("ingest", "refine", *CREATE, *INGEST, "--token", "nightly-2", "--no-wait").status == 0
    moto.tell(states("COMPLETED", "COMPLETED"))
    again = submit("ingest", "refine", *CREATE, *INGEST, "--token", "nightly-2")
    assert again.status == 0 and "uploading" not in again.out
    assert len(moto.clusters) == 1 and len(moto.cluster.steps) == 2


def test_steps_on_a_cluster_that_runs_are_found_again_by_their_token(moto: MotoEmr, submit: Any) -> None:
    place = ["--cluster", make_cluster(moto, "theirs"), "--token", "nightly-3"]
    assert submit("apply", *place, "--no-wait").status == 0
    moto.tell(states("RUNNING", "COMPLETED"))
    assert submit("apply", *place).status == 0
    assert [step.name for step in moto.cluster.steps] == ["theirs", "prox_spark apply nightly-3"]


def test_a_failed_step_is_told_with_its_reason_and_the_end_of_its_log(moto: MotoEmr, submit: Any) -> None:
    def fail(cluster: Any) -> None:
        states("COMPLETED", "FAILED", cluster="TERMINATING", code="STEP_FAILURE", message="Shut down as step failed")(
            cluster
        )
        cluster.steps[1].failure_details = {"Reason": "Unknown Error.", "LogFile": ""}
        log = f"{STAGE}/logs/{cluster.id}/steps/{cluster.steps[1].id}/stderr.gz"
        moto.write_log(log, "".join(f"line {n}\n" for n in range(100)) + "prox-spark: the engine did not start\n\n")

    moto.tell(states("RUNNING", "PENDING"), fail)
    end = submit("ingest", "refine", *CREATE, *INGEST)
    assert end.status == 1
    assert re.search(r"prox_spark refine \w+ \(s-\w+\) is FAILED: Unknown Error\.", end.err)
    assert end.err.rstrip().endswith("line 99\nprox-spark: the engine did not start")
    assert "line 75" not in end.err


def replace_pauses(monkeypatch: pytest.MonkeyPatch, pause: Callable[[float], None]) -> None:
    """Call a function in place of each pause of the waiting for logs."""
    import prox_emr.logs as logs

    # Not `time.sleep` itself: a thread of py4j pauses, too, and where that ends the JVM keeps every frame of later tests.
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))


def test_the_log_of_a_failed_step_is_waited_for(moto: MotoEmr, submit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_late(seconds: float) -> None:
        moto.write_log(f"{STAGE}/logs/{moto.cluster.id}/steps/{moto.cluster.steps[0].id}/stderr.gz", "late\n")

    replace_pauses(monkeypatch, write_late)
    moto.tell(states("FAILED", cluster="TERMINATED_WITH_ERRORS", code="STEP_FAILURE"))
    end = submit("refine", *CREATE)
    assert end.status == 1 and end.err.endswith("late\n")


def test_an_interrupt_while_the_log_is_waited_for_leaves_the_failure_as_it_is(
    moto: MotoEmr, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    replace_pauses(monkeypatch, interrupt)
    moto.tell(states("FAILED", cluster="TERMINATING", code="STEP_FAILURE"))
    end = submit("refine", *CREATE)
    assert end.status == 1 and "is FAILED" in end.err and "goes on" not in end.err


def test_without_a_log_the_place_of_the_log_is_told(moto: MotoEmr, submit: Any) -> None:
    moto.tell(states("FAILED"))
    end = submit("refine", *CREATE, "--log-wait-seconds", "0.01")
    assert end.status == 1 and re.search(r"no log yet: aws s3 cp s3://\S+/stderr\.gz - \| gunzip", end.err)


def test_a_failure_on_a_shared_cluster_cancels_our_later_steps_alone(moto: MotoEmr, submit: Any) -> None:
    cluster = make_cluster(moto, "theirs", "theirs too")
    moto.tell(
        states("COMPLETED", "RUNNING", "PENDING", "PENDING"),
        states("COMPLETED", "COMPLETED", "FAILED", "PENDING"),
    )
    end = submit("ingest", "refine", *INGEST, "--cluster", cluster, "--log-wait-seconds", "0")
    assert end.status == 1
    assert [step.state for step in moto.cluster.steps] == ["COMPLETED", "COMPLETED", "FAILED", "CANCELLED"]
    assert {step.action_on_failure for step in moto.cluster.steps[2:]} == {"CONTINUE"}
    assert f"cancelled the steps behind it: {moto.cluster.steps[3].id}" in end.err


@pytest.mark.parametrize("state", ["CANCELLED", "INTERRUPTED"])
def test_a_step_that_others_ended_is_told_by_its_state(moto: MotoEmr, submit: Any, state: str) -> None:
    moto.tell(states("RUNNING"), states(state, cluster="WAITING"))
    end = submit("apply", "--cluster", make_cluster(moto))
    assert end.status == 1 and f"is {state}: EMR gives no reason" in end.err


def test_a_bootstrap_failure_is_told_with_the_log_of_the_node(moto: MotoEmr, submit: Any) -> None:
    message = "On the master instance (i-0abc123), bootstrap action 1 returned a non-zero return code"

    def die(cluster: Any) -> None:
        states("CANCELLED", cluster="TERMINATED_WITH_ERRORS", code="BOOTSTRAP_FAILURE", message=message)(cluster)
        log = f"{STAGE}/logs/{cluster.id}/node/i-0abc123/bootstrap-actions/1/stderr.gz"
        moto.write_log(log, "prox_spark bootstrap: can't read s3://…\n")

    moto.tell(states("PENDING", cluster="BOOTSTRAPPING"), die)
    end = submit("refine", *CREATE)
    assert end.status == 1
    assert f"is TERMINATED_WITH_ERRORS before its steps ended: BOOTSTRAP_FAILURE: {message}" in end.err
    assert end.err.endswith("prox_spark bootstrap: can't read s3://…\n")


def test_a_cluster_without_capacity_is_told_with_what_to_change(moto: MotoEmr, submit: Any) -> None:
    moto.tell(states("PENDING", cluster="TERMINATED_WITH_ERRORS", code="INSTANCE_FLEET_TIMEOUT", message="No capacity"))
    end = submit("refine", *CREATE)
    assert end.status == 1 and "INSTANCE_FLEET_TIMEOUT: No capacity" in end.err and "quotas" in end.err


def test_a_cluster_that_someone_terminated_is_not_waited_for(moto: MotoEmr, submit: Any) -> None:
    moto.tell(states("RUNNING"), states("CANCELLED", cluster="TERMINATED", code="USER_REQUEST", message="by user"))
    end = submit("refine", *CREATE)
    assert end.status == 1 and "is TERMINATED before its steps ended: USER_REQUEST: by user" in end.err


def test_steps_that_end_while_their_cluster_does_are_waited_for(moto: MotoEmr, submit: Any) -> None:
    moto.tell(
        states("RUNNING", cluster="TERMINATING", code="ALL_STEPS_COMPLETED"),
        states("RUNNING", cluster="TERMINATED", code="ALL_STEPS_COMPLETED"),
        states("COMPLETED", cluster="TERMINATED", code="ALL_STEPS_COMPLETED"),
    )
    assert submit("refine", *CREATE).status == 0


def test_a_token_of_other_steps_is_refused(moto: MotoEmr, submit: Any) -> None:
    place = ["--cluster", make_cluster(moto), "--token", "nightly-6", *INGEST]
    assert submit("ingest", *place, "--no-wait").status == 0
    end = submit("ingest", "apply", *place)
    assert end.status == 1 and "token nightly-6 and other steps" in end.err
    assert len(moto.cluster.steps) == 1


def test_a_cluster_of_other_steps_is_not_taken_for_ours(moto: MotoEmr, submit: Any) -> None:
    assert submit("refine", *CREATE, "--token", "nightly-7", "--no-wait").status == 0
    end = submit("apply", *CREATE, "--token", "nightly-7")
    assert end.status == 1 and "has the token nightly-7 and none of these steps: give another token" in end.err
    assert [step.name for step in moto.cluster.steps] == ["prox_spark refine nightly-7"]


def test_nothing_is_sent_to_a_cluster_that_is_gone(moto: MotoEmr, submit: Any) -> None:
    cluster = make_cluster(moto)
    moto.cluster.state = "TERMINATED"
    end = submit("apply", "--cluster", cluster)
    assert end.status == 1 and "is TERMINATED: choose one that runs, or use --create" in end.err
    assert moto.cluster.steps == []


class Throttled(ServiceException):
    code = "ThrottlingException"


class Lost(ServiceException):
    code = "InternalFailure"


class Expired(ServiceException):
    code = "ExpiredTokenException"


def fail_first(
    monkeypatch: pytest.MonkeyPatch, operation: str, error: type[Exception], times: int, before: bool
) -> None:
    """Let the server answer an operation's first requests with an error, before or after it does what they ask for."""
    do = getattr(ElasticMapReduceResponse, operation)
    left = [times]

    def answer(self: Any) -> Any:
        fails = left[0] > 0
        left[0] -= 1
        if fails and before:
            raise error("Rate exceeded")
        result = do(self)
        if fails:
            raise error("the answer is lost")
        return result

    monkeypatch.setattr(ElasticMapReduceResponse, operation, answer)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's own retries don't wait."""
    import botocore.retries.standard as standard

    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("operation", ["run_job_flow", "list_steps", "describe_cluster", "list_clusters"])
def test_a_throttled_request_is_sent_again(
    moto: MotoEmr, submit: Any, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    fail_first(monkeypatch, operation, Throttled, times=3, before=True)
    moto.tell(states("RUNNING"), states("COMPLETED"))
    end = submit("refine", *CREATE)
    assert end.status == 0, end.err
    assert len(moto.clusters) == 1 and len(moto.cluster.steps) == 1


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("operation", ["run_job_flow", "add_job_flow_steps"])
def test_a_lost_answer_never_makes_a_second_run(
    moto: MotoEmr, submit: Any, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    place = CREATE if operation == "run_job_flow" else ["--cluster", make_cluster(moto)]
    fail_first(monkeypatch, operation, Lost, times=9, before=False)
    moto.tell(states("COMPLETED"))
    end = submit("refine", *place)
    assert end.status == 0, end.err
    assert len(moto.clusters) == 1 and len(moto.cluster.steps) == 1


@pytest.mark.usefixtures("hasty")
def test_a_lost_request_is_told_with_the_token_that_finds_it(
    moto: MotoEmr, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_first(monkeypatch, "run_job_flow", Lost, times=1, before=True)
    end = submit("refine", *CREATE, "--token", "lost")
    assert end.status == 1 and "Start it again with --token lost" in end.err and moto.clusters == []
    moto.tell(states("COMPLETED"))
    assert submit("refine", *CREATE, "--token", "lost").status == 0 and len(moto.clusters) == 1


@pytest.mark.usefixtures("hasty")
def test_a_login_that_expires_is_told_and_the_run_goes_on(
    moto: MotoEmr, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expire(_: Any) -> None:
        fail_first(monkeypatch, "describe_cluster", Expired, times=99, before=True)

    moto.tell(states("RUNNING"), expire)
    end = submit("refine", *CREATE, "--token", "nightly-4")
    assert end.status == 1 and "ExpiredTokenException" in end.err
    assert "the run goes on: start the same command with --token nightly-4" in end.err


@pytest.mark.usefixtures("hasty")
def test_a_login_that_expires_while_the_cluster_starts_is_told_with_the_token(
    moto: MotoEmr, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_first(monkeypatch, "describe_cluster", Expired, times=99, before=True)
    end = submit("refine", *CREATE, "--token", "nightly-8")
    assert end.status == 1 and "the run goes on: start the same command with --token nightly-8" in end.err
    assert f"aws emr terminate-clusters --cluster-ids {moto.cluster.id}" in end.err


@pytest.fixture
def application(moto: MotoEmr) -> list[str]:
    made = moto.client("emr-serverless").create_application(
        name="prox", releaseLabel="emr-7.14.0", type="SPARK", clientToken="a"
    )
    return ["--application", made["applicationId"], "--role", ROLE]


def test_job_runs_of_a_serverless_application_follow_one_another(
    moto: MotoEmr, submit: Any, application: list[str]
) -> None:
    first = [job_state(state) for state in ("SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "RUNNING", "SUCCESS")]
    moto.tell(*first, job_state("RUNNING"), job_state("SUCCESS"))
    end = submit("ingest", "apply", *INGEST, *application)
    assert end.status == 0, end.err
    told = re.findall(r"  (\w+ [A-Z]+)  \(", end.out)
    assert told == [f"ingest {state}" for state in ("SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "SUCCESS")] + [
        "apply RUNNING",
        "apply SUCCESS",
    ]
    ingest, apply = moto.job_runs
    assert ingest.client_token != apply.client_token and apply.execution_role_arn == ROLE
    assert f"/applications/{application[1]}/jobs/{apply.id}/" in end.out


def test_a_job_run_that_is_refused_after_another_is_told_with_the_token_that_goes_on(
    moto: MotoEmr, submit: Any, application: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = serverless_models.EMRServerlessBackend.start_job_run

    def refuse_second(backend: Any, *arguments: Any, **named: Any) -> Any:
        if moto.job_runs:
            raise Expired("the login has expired")
        return start(backend, *arguments, **named)

    with monkeypatch.context() as expired:
        expired.setattr(serverless_models.EMRServerlessBackend, "start_job_run", refuse_second)
        end = submit("ingest", "apply", *INGEST, *application, "--token", "nightly-9")
    assert end.status == 1 and "apply was not started: " in end.err and "ExpiredTokenException" in end.err
    assert "--token nightly-9 goes on with it" in end.err
    assert submit("ingest", "apply", *INGEST, *application, "--token", "nightly-9").status == 0
    assert [run.name for run in moto.job_runs] == ["prox_spark ingest nightly-9", "prox_spark apply nightly-9"]


def test_a_second_start_on_serverless_runs_nothing_twice(moto: MotoEmr, submit: Any, application: list[str]) -> None:
    arguments = ["ingest", "apply", *INGEST, *application, "--token", "nightly-5"]
    first = submit(*arguments, "--no-wait")
    assert first.status == 0 and "not started: apply; the same command with --token nightly-5 goes on" in first.out
    assert submit(*arguments).status == 0  # moto's job runs are a SUCCESS at once
    assert submit(*arguments).status == 0
    assert [run.name for run in moto.job_runs] == ["prox_spark ingest nightly-5", "prox_spark apply nightly-5"]


def test_a_failed_job_run_is_told_with_the_end_of_the_drivers_log(
    moto: MotoEmr, submit: Any, application: list[str]
) -> None:
    def fail(run: Any) -> None:
        job_state("FAILED", "Job failed, please check complete logs")(run)
        log = f"{STAGE}/logs/applications/{run.application_id}/jobs/{run.id}/SPARK_DRIVER/stderr.gz"
        moto.write_log(log, "prox-spark: no lake at s3://bucket/lake\n")

    moto.tell(job_state("RUNNING"), fail)
    end = submit("ingest", "apply", *INGEST, *application)
    assert end.status == 1 and len(moto.job_runs) == 1
    assert "is FAILED: Job failed, please check complete logs\nnot started: apply" in end.err
    assert end.err.endswith("prox-spark: no lake at s3://bucket/lake\n")


def test_a_cancelled_job_run_is_told_by_its_state(moto: MotoEmr, submit: Any, application: list[str]) -> None:
    moto.tell(job_state("RUNNING"), job_state("CANCELLING"), job_state("CANCELLED"))
    end = submit("refine", *application, *ENDPOINT)
    assert end.status == 1 and "is CANCELLED" in end.err and "refine CANCELLING" in end.out


def test_an_application_is_created_and_waited_for(moto: MotoEmr, submit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.emrserverless.models import EMRServerlessBackend

    get, looks = EMRServerlessBackend.get_application, iter(["CREATING", "CREATING", "CREATED"])

    def look(self: Any, application_id: str) -> Any:
        found = get(self, application_id)
        found.state = next(looks, "STARTED")
        return found

    monkeypatch.setattr(EMRServerlessBackend, "get_application", look)
    end = submit("apply", "--create-application", "--role", ROLE)
    assert end.status == 0, end.err
    (made,) = moto.serverless.applications.values()
    assert f"give --application {made.id} next time" in end.out
    assert moto.job_runs[0].application_id == made.id and made.release_label == "emr-7.14.0"


@pytest.mark.parametrize(
    ("sent", "cancels"),
    [(signal.SIGINT, False), (signal.SIGTERM, True)],
    ids=["Ctrl-C", "SIGTERM, --cancel-on-interrupt"],
)
def test_an_interrupted_script_says_what_becomes_of_the_run(
    moto: MotoEmr, dist: list[str], sent: signal.Signals, cancels: bool
) -> None:
    command = [
        sys.executable,
        ROOT / "conf" / "emr" / "submit.py",
        "refine",
        *CREATE,
        *WORK,
        *dist,
        "--token",
        "stopped",
    ]
    more = ["--cancel-on-interrupt"] if cancels else []
    looks: list[object] = []
    moto.tell(looks.append)
    script = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: looks, "the script looks at its steps", 60)
    script.send_signal(sent)
    _, err = script.communicate(timeout=60)
    assert script.returncode == 130, err
    assert (moto.cluster.state == "TERMINATED") is cancels
    command_line = f"aws emr terminate-clusters --cluster-ids {moto.cluster.id}"
    assert ("the run is being cancelled" in err) if cancels else ("--token stopped" in err and command_line in err)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["ingest", *CREATE], 1, "ingest has no input: give --input"),
        (["refine", "--application", "00f", "--role", ROLE], 1, "EMR Serverless has no GPUs: set engine.endpoint"),
        (["apply", *CREATE, "--lake", "lake"], 1, "the lake lake is a folder of this machine"),
        (
            ["apply", *CREATE, "--set", "spark.conf.spark.hadoop.fs.s3a.secret.key=s3cr3t"],
            1,
            "the recipe or a URI holds a secret",
        ),
        (["apply", *CREATE, "--lake", "s3a://AKIA:s3cr3t@bucket/lake"], 1, "the recipe or a URI holds a secret"),
        (["ingest", *CREATE, "--input", "s3a://AKIA:s3cr3t@bucket/a.jsonl"], 1, "the recipe or a URI holds a secret"),
        (["ingest", *CREATE, "--input", "crawl/a.jsonl"], 1, "the input crawl/a.jsonl is a path of this machine"),
        (["apply", *CREATE, "--release", "emr-9.0.0"], 1, "--release emr-9.0.0: known are"),
        (["apply", "--application", "00f", "--role", "prox"], 1, "no valid StartJobRun"),
        (["apply", *CREATE, "--set", "apply.drop_treshold=0.5"], 2, "drop_treshold"),
        (["apply", *CREATE, "--recipe", "missing.yaml"], 2, "can't read the recipe missing.yaml"),
        (["apply", *CREATE, "--dist", "/nowhere"], 1, "no prox_spark-*.whl in /nowhere: run `make package`"),
        (["apply", *CREATE, "--stage", "s3://other/prox"], 1, "NoSuchBucket"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_can_not_run_is_refused_before_anything_is_started(
    moto: MotoEmr, dist: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    assert main([*WORK, *dist, *arguments]) == status
    err = capsys.readouterr().err
    assert message in err and "s3cr3t" not in err and "Traceback" not in err
    assert moto.clusters == [] and moto.job_runs == []
    assert "Contents" not in moto.client("s3").list_objects_v2(Bucket="bucket")


def test_a_cluster_that_is_unknown_is_named(submit: Any) -> None:
    end = submit("apply", "--cluster", "j-NONE")
    assert end.status == 1 and "j-NONE" in end.err and "goes on" not in end.err


def test_a_number_of_gpus_below_one_is_a_usage_error(submit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        submit("refine", *CREATE, "--gpus", "0")
    assert end.value.code == 2 and "--gpus must be 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("unset", "message"),
    [
        (("AWS_REGION", "AWS_DEFAULT_REGION"), "set AWS_REGION"),
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "set AWS_PROFILE"),
    ],
)
def test_a_missing_region_or_login_is_told(
    submit: Any, monkeypatch: pytest.MonkeyPatch, unset: tuple[str, ...], message: str
) -> None:
    for name in unset:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    end = submit("refine", *CREATE)
    assert end.status == 1 and message in end.err


def test_the_region_may_be_in_the_variable_that_boto3_does_not_read(
    moto: MotoEmr, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert submit("refine", *CREATE, "--no-wait").status == 0 and len(moto.clusters) == 1


def test_a_reader_of_the_output_that_goes_away_is_no_error(dist: list[str]) -> None:
    command = [sys.executable, ROOT / "conf" / "emr" / "submit.py", "apply", *CREATE, *WORK, *dist, "--dry-run"]
    script = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert script.stdout and script.stderr
    script.stdout.close()
    assert script.stderr.read() == "" and script.wait(60) == 141


def test_a_dry_run_needs_no_login_and_sends_nothing(dist: list[str]) -> None:
    command = [sys.executable, ROOT / "conf" / "emr" / "submit.py", "refine", *CREATE, *WORK, *dist, "--dry-run"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["RunJobFlow"]["Instances"]["Ec2SubnetIds"] == ["subnet-1"]
