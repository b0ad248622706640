"""Errors of submitting."""

from __future__ import annotations


class SubmitError(Exception):
    """A run was not submitted, or not as it was asked for. The message says what to change."""
