"""A home of Airflow for tests: its database and configuration, and programs that run in Airflow's own environment."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import BIN, REPOSITORY, make_environment

AIRFLOW = REPOSITORY / ".cache" / "airflow" / "bin"
DAGS = REPOSITORY / "jobs" / "dags"
_PROGRAMS = Path(__file__).parent / "in_airflow"


@dataclass(frozen=True)
class AirflowHome:
    """A folder with the database of an Airflow of its own, and variables of the environment that its processes have."""

    folder: Path
    variables: dict[str, str]

    @classmethod
    def create(cls, folder: Path, **variables: str) -> AirflowHome:
        """Make the database."""
        assert (AIRFLOW / "airflow").exists(), "Airflow has an environment of its own: make .cache/airflow/installed"
        home = cls(folder, variables)
        home.call("airflow", "db", "migrate")
        return home

    @property
    def environment(self) -> dict[str, str]:
        """The environment of Airflow's processes. Nothing of prox_spark can be imported in them; spark-submit is on the path."""
        settings = {
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[2]"}),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        without = (
            "PYTHONPATH",
            "PYTHONDONTWRITEBYTECODE",
        )  # Airflow is large: what the first process compiles, the others use.
        inherited = {name: value for name, value in make_environment().items() if name not in without}
        return inherited | settings | self.variables

    def having(self, **variables: str) -> AirflowHome:
        """Return the same home with more variables."""
        return AirflowHome(self.folder, self.variables | variables)

    def configured(self, settings: Any) -> AirflowHome:
        """Return the same home with the Variable that configures the DAGs."""
        return self.having(AIRFLOW_VAR_PROX_REFINE=json.dumps(settings))

    def call(self, program: str, *arguments: str, seconds: float = 300) -> str:
        """Run a program of Airflow's environment and return its output."""
        command = [str(AIRFLOW / program), *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=seconds
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    def run(self, program: str, *arguments: str, seconds: float = 300) -> Any:
        """Run a program of tests/support/in_airflow and return what its last line says, JSON."""
        out = self.call("python", str(_PROGRAMS / program), *arguments, seconds=seconds)
        return json.loads(out.splitlines()[-1])
