"""Which package may know which: by reading the import statements, and by importing in a fresh interpreter."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
HEAVY = {"vllm", "torch", "transformers", "peft", "huggingface_hub"}


def modules(*places: str) -> list[Path]:
    """The modules below folders, or files themselves, relative to the checkout."""
    found = [path for place in places for path in ([ROOT / place] if place[-3:] == ".py" else _below(ROOT / place))]
    assert found, f"no modules at {places}"
    return sorted(found)


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder, followlinks=True):  # prox_spark/udfs is a link
        folders[:] = [name for name in folders if name != "conf"]
        yield from (Path(place) / name for name in files if name.endswith(".py"))


def imports(source: str, at_module_level: bool = False) -> set[str]:
    """Dotted names that a source imports; at module level: without those in functions and for type checkers only."""
    return set(_imports(ast.parse(source), at_module_level))


def _imports(node: ast.AST, at_module_level: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    is_later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    if at_module_level and is_later:
        return
    children: Iterator[ast.AST] = ast.iter_child_nodes(node)
    if at_module_level and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        children = iter(node.orelse)
    for child in children:
        yield from _imports(child, at_module_level)


def offending(paths: list[Path], forbidden: set[str], at_module_level: bool = False) -> dict[str, list[str]]:
    """By module, the forbidden packages (or what is below them) that it imports."""
    found = {}
    for path in paths:
        names = imports(path.read_text(encoding="utf-8"), at_module_level)
        if bad := sorted(name for name in names if any(f"{name}.".startswith(f"{f}.") for f in forbidden)):
            found[str(path.relative_to(ROOT))] = bad
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch", {"torch"}),
        ("import torch.nn as nn", {"torch.nn"}),
        ("from torch import nn", {"torch.nn"}),
        ("try:\n    import torch\nexcept ImportError:\n    pass", {"torch"}),
        ("class A:\n    import torch", {"torch"}),
        ("def f():\n    import torch", set()),
        ("async def f():\n    import torch", set()),
        ("if TYPE_CHECKING:\n    import torch", set()),
        ("if TYPE_CHECKING:\n    import torch\nelse:\n    import peft", {"peft"}),
    ],
)
def test_imports_at_module_level_are_found(source: str, found: set[str]) -> None:
    assert imports(source, at_module_level=True) == found


def test_imports_anywhere_are_found() -> None:
    assert imports("def f():\n    import torch\nif TYPE_CHECKING:\n    import peft") == {"torch", "peft"}


def test_offences_are_found_where_there_are_some() -> None:
    assert offending(modules("prox_spark/udfs/parse.py"), {"pyarrow"}) == {"prox_spark/udfs/parse.py": ["pyarrow"]}


def test_programs_and_chunking_are_pure_python() -> None:
    pure = modules("prox_spark/programs", "prox_spark/chunking.py")
    assert not offending(pure, {"pyspark", "pyarrow", "pydantic", "delta", "aiohttp", "psutil"} | HEAVY)


def test_programs_and_chunking_know_nothing_else_of_the_library() -> None:
    names = {
        name
        for path in modules("prox_spark/programs", "prox_spark/chunking.py")
        for name in imports(path.read_text(encoding="utf-8"))
        if name.startswith("prox_spark")
    }
    assert names and all(name.startswith("prox_spark.programs.") for name in names)


def test_models_are_imported_by_no_module_before_they_are_needed() -> None:
    # These are what `adapt` imports when it is called, and what is an engine's process; nothing else imports them.
    trains = [f"prox_spark/training/{name}.py" for name in ("loss", "model", "trainer", "validation")]
    heavy = [*trains, "prox_spark/engine/process/server.py"]
    light = [path for path in modules("prox_spark") if str(path.relative_to(ROOT)) not in heavy]
    assert not offending(light, HEAVY, at_module_level=True)
    names = {path.removesuffix(".py").replace("/", ".") for path in heavy}
    assert not offending(light, names, at_module_level=True)


def test_the_engine_imports_no_spark_at_module_level() -> None:
    assert not offending(modules("prox_spark/engine"), {"pyspark", "delta", "pyarrow"}, at_module_level=True)


def test_prompts_refiners_labels_and_figures_import_no_spark() -> None:
    places = ("refiners", "prompts.py", "config", "labels", "annotation", "training", "quality")
    assert not offending(modules(*(f"prox_spark/{place}" for place in places)), {"pyspark"})


# From the ground up: a room imports rooms above it in this list and none below, also in functions and for type checkers.
FLOORS = (
    "errors spark_driver paths threads locks packages logins places fingerprint chunking spark_versions programs config schemas labels",
    "lake refiners prompts annotation quality readers",
    "engine/host engine/wire engine/slots engine/spec engine/life engine/ask engine/driver engine/process engine",
    "hadoop_logins secret_settings frames watching runs udfs session",
    "pipeline/waves pipeline/inputs pipeline/asking pipeline/applying pipeline",
    "training report api demo doctor . commands cli",
)
ROOMS = " ".join(FLOORS).split()


def room_of(module: str) -> str:
    """Return the room of a dotted module: the longest entry of ROOMS that its path begins with."""
    path = module.removeprefix("prox_spark").strip(".").replace(".", "/")
    return max((room for room in ROOMS if f"{path}/".startswith(f"{room}/")), key=len, default="?" if path else ".")


def own_imports(path: Path) -> set[str]:
    """Return the modules of prox_spark that a file imports anywhere."""
    names = imports(path.read_text(encoding="utf-8"))
    return {
        name
        if (ROOT / f"{name.replace('.', '/')}.py").is_file() or (ROOT / name.replace(".", "/")).is_dir()
        else module
        for name in names
        if name.startswith("prox_spark.")
        for module in [name.rpartition(".")[0]]
    }


def test_every_module_is_in_a_room() -> None:
    files = modules("prox_spark")
    assert {room_of(dotted(path)) for path in files} == set(ROOMS)


def test_rooms_import_in_one_direction() -> None:
    backwards = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules("prox_spark")
        for name in sorted(own_imports(path))
        if ROOMS.index(room_of(name)) > ROOMS.index(room_of(dotted(path)))
    ]
    assert backwards == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {dotted(path): own_imports(path) - {dotted(path)} for path in modules("prox_spark")}
    while leaves := [module for module, names in graph.items() if not names & graph.keys()]:
        graph = {module: names for module, names in graph.items() if module not in leaves}
    assert sorted(graph) == []


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_only_the_pipeline_uses_udfs() -> None:
    users = offending([path for path in modules("prox_spark") if "udfs" not in path.parts], {"prox_spark.udfs"})
    assert users and all(path.startswith("prox_spark/pipeline/") for path in users)


LACKING = {
    "sparkContext",
    "SparkContext",
    "rdd",
    "_jvm",
    "_jdf",
    "_jsc",
    "_gateway",
    "_jsparkSession",
    "localCheckpoint",
}
# Either they ask for it in classic sessions only, or they are of the job that starts engines.
ASKING = {
    "prox_spark/spark_driver.py": "tells the kinds of sessions apart",
    "prox_spark/session.py": "makes classic sessions",
    "prox_spark/hadoop_logins.py": "reads the logins of a classic session",
    "prox_spark/secret_settings.py": "starts the JVM of a classic session",
    "prox_spark/lake/log_store.py": "reads with what settings a classic session's Spark was started",
    "prox_spark/lake/tables.py": "looks for Delta in a classic session",
    "prox_spark/doctor/lake.py": "opens the store of a lake in a classic session",
    "prox_spark/doctor/examine.py": "describes classic sessions",
    "prox_spark/watching/queries.py": "watches classic sessions",
    "prox_spark/spark_versions.py": "checkpoints the answers of an engine in local mode",
    "prox_spark/engine/driver.py": "finds engines of this host",
    "prox_spark/pipeline/asking/gpu_profile.py": "has engines scheduled",
    "prox_spark/pipeline/asking/generate.py": "has engines scheduled",
    "prox_spark/pipeline/refine.py": "asks whether engines have GPUs",
}


def attributes_in(source: str) -> set[str]:
    """The attributes and imported names in a source."""
    nodes = list(ast.walk(ast.parse(source)))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return attributes | {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_nothing_but_these_modules_asks_for_what_spark_connect_lacks() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in modules("prox_spark")
        if attributes_in(path.read_text("utf-8")) & LACKING
    }
    assert found - ASKING.keys() == set()


@pytest.mark.parametrize(
    "module",
    ["prox_spark", "prox_spark.cli", "prox_spark.config", "prox_spark.prompts", "prox_spark.engine.life.supervisor"],
)
def test_importing_a_light_module_imports_nothing_heavy(module: str) -> None:
    heavy = sorted(HEAVY | {"pyspark", "pyarrow"})
    code = f"import sys, {module}; print(*[name for name in {heavy} if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
