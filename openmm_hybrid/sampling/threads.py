"""How many threads torch takes while OpenMM takes its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import openmm
import torch


@contextmanager
def one_torch_thread(platform: openmm.Platform, replicas: int = 1) -> Iterator[None]:
    """Within it torch computes on one thread, if one molecule runs on OpenMM's CPU platform.

    Both have a team of threads, and torch's goes on spinning for milliseconds after each evaluation, on the cores that
    OpenMM's then waits for (docs/backends.md). On the other platforms torch has the cores for itself, and replicas are
    work for more than one thread.

    Parameters
    ----------
    platform : openmm.Platform
    replicas : int
        Of one context.
    """
    before = torch.get_num_threads()
    if platform.getName() == "CPU" and replicas == 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
