"""The process of one task: it reads the task from standard input, and ends when its parent does."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from openmm_hybrid.tasks.perform import perform_here
from openmm_hybrid.tasks.store import Store
from openmm_hybrid.tasks.task import Task


def main() -> None:
    """Perform the task of the first line of standard input."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_follow_parent, daemon=True).start()
    perform_here(Task(**request["task"]), Store(request["folder"]))


def _follow_parent() -> None:
    """End this process, and all that it has started, at the end of standard input: nobody waits for them any more."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
