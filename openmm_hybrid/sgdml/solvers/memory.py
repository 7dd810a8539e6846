"""How much memory there is."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_MEMINFO = Path("/proc/meminfo")
#: Limit and use of a control group, of version 2 and 1, as a container sees its own.
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def available_memory(device: str = "cpu") -> int:
    """Bytes that are free for this process: of the GPU, or of the machine within the limit of its container."""
    if device != "cpu":
        return torch.cuda.mem_get_info(torch.device(device))[0]
    free = [_free_in(limit, used) for limit, used in _CGROUPS if limit.is_file() and used.is_file()]
    lines = _MEMINFO.read_text().splitlines() if _MEMINFO.is_file() else []
    free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    known = [number for number in free if number is not None]
    return min(known) if known else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free_in(limit: Path, used: Path) -> int | None:
    """What a control group leaves; None where it has no limit ("max")."""
    text = limit.read_text().strip()
    return max(int(text) - int(used.read_text()), 0) if text.isdecimal() else None
