"""Runs DAGs by `dag.test()`, one after the other. Prints how they ended, JSON.

Each argument is a JSON array: the id of a DAG, a logical date or null, and parameters of the run.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import select


def run(bag: DagBag, dag_id: str, date: str | None, conf: dict[str, Any]) -> dict[str, Any]:
    when = datetime.fromisoformat(date) if date else None
    done = bag.dags[dag_id].test(logical_date=when, run_conf=conf)
    chosen = select(AssetModel.uri).join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
    with create_session() as session:
        assets = session.scalars(chosen.where(AssetEvent.source_run_id == done.run_id)).all()
    tasks = {ti.task_id: [str(ti.state), ti.try_number] for ti in done.get_task_instances()}
    return {"state": str(done.state), "tasks": tasks, "assets": sorted(assets)}


found = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
assert not found.import_errors, found.import_errors
ended = [run(found, *json.loads(words)) for words in sys.argv[1:]]
print()
print(json.dumps(ended))
