"""Processes that are killed on purpose, at a moment of one's choice."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any


def kill_when(
    process: subprocess.Popen[Any], reached: Callable[[], bool], *, delay: float = 0.0, poll: float = 0.001
) -> bool:
    """SIGKILL, `delay` seconds after `reached`, asked every `poll` seconds, says yes; whether it met it alive."""
    while process.poll() is None and not reached():
        time.sleep(poll)
    try:
        process.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL
