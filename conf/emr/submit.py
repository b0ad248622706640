#!/usr/bin/env python
"""Run steps of prox_spark on Amazon EMR and wait for their end: `python conf/emr/submit.py --help`."""

from __future__ import annotations

import sys

from prox_emr.main import main

if __name__ == "__main__":
    sys.exit(main())
