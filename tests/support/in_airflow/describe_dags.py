"""Loads the DAGs as Airflow's DAG processor does, for each of the Variables given as arguments. Prints what it finds, JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import BundleDagBag
from airflow.serialization.serialized_objects import DagSerialization


def find_operators() -> list[str]:
    return [name for name in sys.modules if name.startswith("airflow.providers.") and ".operators." in name]


def load(variable: str) -> dict[str, Any]:
    os.environ["AIRFLOW_VAR_PROX_REFINE"] = variable
    if not variable:
        del os.environ["AIRFLOW_VAR_PROX_REFINE"]
    for name in find_operators():
        del sys.modules[name]
    started = time.perf_counter()
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    bag = BundleDagBag(folder, bundle_path=folder)
    seconds = time.perf_counter() - started
    dags = {name: DagSerialization.to_dict(dag)["dag"] for name, dag in bag.dags.items()}
    return {
        "errors": {os.path.basename(path): error for path, error in bag.import_errors.items()},
        "seconds": seconds,
        "operators": find_operators(),
        "dags": dags,
    }


print(json.dumps([load(variable) for variable in sys.argv[1:]]))
