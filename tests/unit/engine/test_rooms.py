"""The order of the engine's rooms, by reading every import statement, also those for type checkers and in functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import prox_spark.engine

pytestmark = pytest.mark.unit

HOME = Path(prox_spark.engine.__file__).parent
PACKAGE = "prox_spark.engine."
# A room may import itself and those before it.
ORDER = ["host", "wire", "slots", "spec", "life", "ask", "driver"]
# The served process is apart: it imports no other room, and none imports it.
APART = "process"


def find_imports(path: Path) -> Iterator[str]:
    """Yield the rooms that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.removeprefix(PACKAGE).split(".")[0] for name in names if name.startswith(PACKAGE))


def find_modules(room: str) -> list[Path]:
    return sorted((HOME / room).glob("**/*.py")) or [HOME / f"{room}.py"]


def test_every_module_is_in_a_room() -> None:
    found = {path.stem for path in HOME.iterdir() if path.stem not in ("__init__", "__pycache__")}
    assert found == {*ORDER, APART}


@pytest.mark.parametrize("room", ORDER)
def test_a_room_imports_only_those_before_it(room: str) -> None:
    allowed = set(ORDER[: ORDER.index(room) + 1])
    offences = {str(path.relative_to(HOME)): set(find_imports(path)) - allowed for path in find_modules(room)}
    assert not any(offences.values()), offences


def test_the_served_process_imports_no_other_room() -> None:
    assert {room for path in find_modules(APART) for room in find_imports(path)} == {APART}
