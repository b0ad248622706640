#!/usr/bin/env python
"""Run steps of prox_spark on Amazon EMR and wait for their end: `python conf/emr/submit.py --help`."""

from __future__ import annotations

import sys

from prox_emr.main import main

from prox_spark.commands.closed_pipes import stop_at_closed_pipe

if __name__ == "__main__":
    sys.exit(stop_at_closed_pipe(main))
