"""The end of a command whose output nobody reads any more, as in `prox-spark config | head -1`.

Python ignores SIGPIPE, so a write to a closed pipe raises an error, and so does the flush at the end of the process. The
signal's own default would end the process at once, but on a broken socket of Spark or of an engine too, without a message
and with engines left behind.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from typing import TextIO

# 128 + SIGPIPE, as shells report it for other programs: not all of the output was read, so the status is not 0.
CLOSED_PIPE_STATUS = 141


def stop_at_closed_pipe(command: Callable[[], int]) -> int:
    """Run a command that stops without a message when the reader of its output has gone.

    Args:
        command: returns an exit status.

    Returns:
        The command's own status, or `CLOSED_PIPE_STATUS` if it was cut short or its standard output was not read.
    """
    _open_missing_stdout()
    status = None
    try:
        try:
            status = command()
            return status
        finally:  # A parser of arguments exits, too, once it has printed its help.
            _flush()
    except BrokenPipeError:
        if not is_output_closed():
            raise
        closed = [stream for stream in (sys.stdout, sys.stderr) if _is_closed(stream)]
        for stream in closed:
            _write_to_nothing(stream)
        # A command that has ended keeps its status if only its progress was not read.
        return CLOSED_PIPE_STATUS if status is None or sys.stdout in closed else status


def is_output_closed() -> bool:
    """Return True if standard output or standard error is a pipe whose reader has gone."""
    return _is_closed(sys.stdout) or _is_closed(sys.stderr)


def _is_closed(stream: TextIO | None) -> bool:
    try:
        number = stream.fileno() if stream else None
    except (AttributeError, OSError, ValueError):  # It is no file of the system, or was closed here.
        return False
    if number is None:
        return False
    # Asked for no event, poll still tells of errors: on a pipe, that there is no reader.
    poll = select.poll()
    poll.register(number, 0)
    return bool(poll.poll(0))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream and not getattr(stream, "closed", False):
                stream.flush()
        except BrokenPipeError:
            raise
        except OSError:  # A full disk, for example: Python flushes again when the process ends, and reports it.
            continue


def _write_to_nothing(stream: TextIO) -> None:
    """Let a stream write to /dev/null, because Python flushes what it still holds when the process ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _open_missing_stdout() -> None:
    """Open /dev/null where the process was started without standard output (`>&-`), so that no socket gets its number."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
