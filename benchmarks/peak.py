"""The largest memory of a process; needs the standard library only, because the peer's environment runs it too."""

from __future__ import annotations

import resource
from pathlib import Path


def peak() -> dict[str, float]:
    """Largest memory of this process so far, and of the largest of its finished children, GB.

    Children that were forked share pages with this process and with each other: the numbers must not be added.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    # Unlike getrusage's, this number does not begin with the memory of the process that started this one.
    peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    peaks = peaks or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"peak_GB": peaks[0] * 1024 / 1e9, "peak_child_GB": children * 1024 / 1e9}
