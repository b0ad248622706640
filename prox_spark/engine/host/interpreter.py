"""The Python that runs engines: the worker's own, or that of an environment that holds vLLM alone.

vLLM pins torch, numba and others, and brings some two hundred packages. Where a platform's Python has versions of its own, as that of
Databricks has, an environment for the engine leaves them as they are.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import prox_spark
from prox_spark.errors import EngineStartError

VARIABLE = "PROX_SPARK_ENGINE_PYTHON"
# Meant for the worker's Python alone. Databricks Runtime 19 sets the last; libraries inside the wheels of vLLM's packages then end
# the process at their import, by a self-test that they can't pass.
_FOREIGN = ("PYTHONHOME", "PYTHONPATH", "OPENSSL_FORCE_FIPS_MODE")


def find_engine_python() -> str:
    """Return the interpreter of engines: PROX_SPARK_ENGINE_PYTHON, else this process's own. An engine has another working folder.

    Raises:
        EngineStartError: the variable names no program of this host.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return sys.executable
    program = shutil.which(named)
    if not program:
        raise EngineStartError(
            f"{VARIABLE} is {named}, which is no program on this host: install vLLM there on every executor, such as by an init "
            "script, or unset the variable",
            is_final=True,
        )
    return os.path.abspath(program)


def has_own_environment() -> bool:
    """Return True if engines have a Python of their own."""
    return bool(os.environ.get(VARIABLE))


def isolate(environment: dict[str, str], directory: Path) -> None:
    """Let an engine with a Python of its own import prox_spark from here and all else from there.

    The worker's path would put its packages before those of the engine. So the engine's path is a folder with nothing but
    prox_spark in it, which is also the version that the worker speaks to.

    Args:
        environment: of the engine; it is changed.
        directory: directory of the engine.
    """
    package = Path(prox_spark.__file__).parent
    for name in _FOREIGN:
        environment.pop(name, None)
    if not package.is_dir():  # It is imported from an archive, which holds nothing else.
        environment["PYTHONPATH"] = str(package.parent)
        return
    folder = directory / "package"
    folder.mkdir(exist_ok=True)
    link = folder / package.name
    link.unlink(missing_ok=True)
    link.symlink_to(package)
    environment["PYTHONPATH"] = str(folder)
