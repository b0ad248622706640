"""The parts of `conf/emr/submit.py`."""
