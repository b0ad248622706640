"""Runs commands of `prox-spark` one after the other in one session, which the recipe makes: a start for all of them."""

from __future__ import annotations

import shlex
import sys

from prox_spark import cli
from prox_spark.config import Recipe
from prox_spark.session import build_session

path, *commands = sys.argv[1:]
recipe = Recipe.load(path)
spark = build_session(recipe)
for command in commands:
    print(f"== {command}", flush=True)
    words = shlex.split(command)
    if status := cli.main([*words, "--recipe", path]):
        sys.exit(status)
spark.stop()
