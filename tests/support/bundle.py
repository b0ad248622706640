"""A Databricks bundle as `databricks bundle validate` resolves it: included files merged, variables of a target put in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
DATABRICKS = REPOSITORY / "conf" / "databricks"
_REFERENCE = re.compile(r"\$\{([^}]+)\}")
# What the CLI takes from the workspace and from where it deploys to.
_WORKSPACE = {
    "workspace.file_path": "/Workspace/Users/someone@example.org/.bundle/prox_spark/files",
    "workspace.current_user.userName": "someone@example.org",
}


def load_bundle(target: str, **variables: str) -> dict[str, Any]:
    """Return the bundle of a target, with every reference resolved.

    Args:
        target: its name in databricks.yml.
        variables: as given by `--var`; those that the CLI looks up have to be here.

    Raises:
        KeyError: a reference names nothing.
    """
    bundle = _read(DATABRICKS / "databricks.yml")
    for pattern in bundle["include"]:
        for path in sorted(DATABRICKS.glob(pattern)):
            for kind, resources in _read(path)["resources"].items():
                bundle.setdefault("resources", {}).setdefault(kind, {}).update(_place(resources, path.parent))
    chosen = bundle.pop("targets")[target]
    values = {name: about.get("default") for name, about in bundle["variables"].items()}
    values |= chosen.pop("variables") | variables
    bundle["target"] = chosen
    known = _WORKSPACE | {f"var.{name}": value for name, value in values.items() if value is not None}
    known |= {f"bundle.{key}": value for key, value in bundle["bundle"].items()} | {"bundle.target": target}
    for kind, resources in bundle["resources"].items():
        known |= {f"resources.{kind}.{key}.name": resource["name"] for key, resource in resources.items()}
    del bundle["variables"]
    resolved: dict[str, Any] = _resolve(bundle, known)
    return resolved


def find_references(tree: Any) -> set[str]:
    """Return the names of all references in a tree."""
    if isinstance(tree, dict):
        return set().union(*map(find_references, tree.values())) if tree else set()
    if isinstance(tree, list):
        return set().union(*map(find_references, tree)) if tree else set()
    return set(_REFERENCE.findall(tree)) if isinstance(tree, str) else set()


def _read(path: Path) -> dict[str, Any]:
    parts: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return parts


def _place(tree: Any, folder: Path) -> Any:
    """Make relative paths absolute, which the CLI reads as from the file that holds them."""
    if isinstance(tree, dict):
        return {key: _place(value, folder) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_place(value, folder) for value in tree]
    is_path = isinstance(tree, str) and tree.startswith(("./", "../"))
    return str((folder / tree).resolve()) if is_path else tree


def _resolve(tree: Any, known: dict[str, Any]) -> Any:
    if isinstance(tree, dict):
        return {key: _resolve(value, known) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_resolve(value, known) for value in tree]
    if not isinstance(tree, str):
        return tree
    whole = _REFERENCE.fullmatch(tree)
    if whole:  # It keeps its type, as a number of workers does.
        return _resolve(known[whole[1]], known)
    replaced = _REFERENCE.sub(lambda match: str(known[match[1]]), tree)
    return _resolve(replaced, known) if replaced != tree else tree
