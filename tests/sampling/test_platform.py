"""torch uses one thread beside OpenMM's CPU platform; elsewhere and afterwards its number is unchanged."""

from __future__ import annotations

import openmm
import pytest
import torch

from openmm_hybrid.sampling.platform import one_torch_thread


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("platform", "replicas", "threads"), [("CPU", 1, 1), ("CPU", 8, 3), ("Reference", 1, 3), ("Reference", 8, 3)]
)
def test_threads_within_and_afterwards(three_threads: None, platform: str, replicas: int, threads: int) -> None:
    with one_torch_thread(openmm.Platform.getPlatformByName(platform), replicas):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 3
    with (
        pytest.raises(RuntimeError, match="stopped"),
        one_torch_thread(openmm.Platform.getPlatformByName(platform), replicas),
    ):
        raise RuntimeError("stopped")
    assert torch.get_num_threads() == 3
