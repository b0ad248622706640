#!/usr/bin/env bash
# apache-airflow 3.3.2: a task that can find its job again after a kill (`ResumableJobMixin`: SparkSubmitOperator in cluster mode,
# DatabricksRunNowOperator, GlueJobOperator) runs nothing when it is cleared after its success. The id of the job stays in the task
# state store ([state_store] clear_on_success is False by default), clearing a task leaves it there, and the next try ends at once with
# "Job already completed successfully, skipping resubmission". The task is green, and nothing has run, whatever has changed since.
# jobs/dags/prox_refine.py therefore forgets the id once the job has ended well.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uv
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "apache-airflow==3.3.2" "apache-airflow-task-sdk==1.3.2"
mkdir "$folder/dags"
export AIRFLOW_HOME="$folder" AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__CORE__DAGS_FOLDER="$folder/dags"
export AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR LEDGER="$folder/started"
cat > "$folder/dags/cleared.py" <<'PYTHON'
import os
from datetime import datetime

from airflow.sdk import DAG, BaseOperator, ResumableJobMixin


class Job(ResumableJobMixin, BaseOperator):
    """A job that has succeeded as soon as it is started, and notes each start."""

    def execute(self, context):
        return self.execute_resumable(context)

    def submit_job(self, context):
        with open(os.environ["LEDGER"], "a") as ledger:
            ledger.write("started\n")
        return "job-1"

    def get_job_status(self, external_id, context):
        return "SUCCEEDED"

    def is_job_active(self, status):
        return False

    def is_job_succeeded(self, status):
        return status == "SUCCEEDED"

    def poll_until_complete(self, external_id, context):
        pass

    def get_job_result(self, external_id, context):
        return external_id


with DAG("cleared", schedule=None, start_date=datetime(2026, 1, 1)):
    Job(task_id="job")
PYTHON
cat > "$folder/show.py" <<'PYTHON'
import os
import uuid

import airflow
from airflow.dag_processing.dagbag import DagBag
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk.api.datamodels._generated import TaskInstance as Described
from airflow.sdk.execution_time.supervisor import run_task_in_process
from airflow.utils.session import create_session
from sqlalchemy import select

dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["cleared"]
dag.test()
print("airflow", airflow.__version__)
print("started", open(os.environ["LEDGER"]).read().count("started"), "after the first run")
with create_session() as session:
    clear_task_instances(session.scalars(select(TaskInstance)).all(), session)
    ti = session.scalars(select(TaskInstance)).one()
    print("state of the cleared task:", ti.state)
    ti.try_number += 1
    ti.set_state("queued", session=session)
    session.flush()
    described = Described(
        id=uuid.UUID(str(ti.id)), task_id="job", dag_id="cleared", run_id=ti.run_id, try_number=ti.try_number,
        map_index=-1, dag_version_id=uuid.UUID(str(ti.dag_version_id)),
    )
ended = run_task_in_process(ti=described, task=dag.task_dict["job"])
n_started = open(os.environ["LEDGER"]).read().count("started")
print("state of the second try:", str(ended.ti.state))
print("started", n_started, "after the cleared task has run again")
raise SystemExit(0 if n_started == 1 and ended.ti.state == "success" else 1)
PYTHON
"$folder/venv/bin/airflow" db migrate >/dev/null 2>&1
"$folder/venv/bin/python" "$folder/show.py" 2>"$folder/log" | grep -v '^20' || { tail -20 "$folder/log" >&2; exit 1; }
