"""The backend of the plugin stack: TorchForce from the package openmmtorch."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any, final

import openmm
import torch

from openmm_hybrid.core.errors import MismatchError
from openmm_hybrid.core.trial import installed, probe
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.torchscript import torch_dtype
from openmm_hybrid.systems.backends.backend import Backend, BackendState
from openmm_hybrid.systems.backends.self_test import self_test
from openmm_hybrid.systems.placement import Placement
from openmm_hybrid.systems.torch_wrapper import wrap_for_openmm

_HINT = "openmmtorch 1.5 needs openmm 8.4.* and torch 2.9.*: pip install 'openmm-hybrid[torchforce]'"
_SELF_TEST = "from openmm_hybrid.systems.backends.torchforce import run_self_test; run_self_test()"


@final
class TorchForceBackend(Backend):
    """Carries every model that has a TorchScript form, with analytic forces and dE/dλ."""

    needs_torch = True
    holds_code = True
    force_type = "TorchForce"

    @property
    def name(self) -> str:
        """See `Backend.name`."""
        return "torchforce"

    def state(self, *, refresh: bool = False) -> BackendState:
        """See `Backend.state`."""
        if not installed("openmmtorch"):
            return BackendState("missing", "openmmtorch is not installed", _HINT)
        outcome = probe(_SELF_TEST, ("openmm", "torch", "openmmtorch"), refresh=refresh)
        return (
            BackendState("works", outcome.detail) if outcome.ok else BackendState("incompatible", outcome.detail, _HINT)
        )

    def takes(self, model: EnergyModel) -> bool:
        """See `Backend.takes`: every model with a TorchScript form."""
        return scriptable(model)

    def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
        """See `Backend.forces`: one TorchForce."""
        module = wrap_for_openmm(placement, placement.model.module().to(torch_dtype(dtype)))
        # The module is not frozen here: the plugin first moves it to the GPU and then freezes it.
        force = load_plugin().TorchForce(torch.jit.script(module.eval()))
        force.setOutputsForces(True)
        force.setUsesPeriodicBoundaryConditions(placement.periodic)
        force.setForceGroup(placement.force_group)
        force.setName("HybridTorchForce")
        if placement.scale:
            force.addGlobalParameter(placement.scale, 1.0)
            force.addEnergyParameterDerivative(placement.scale)
        return [force]

    def prepare(self) -> None:
        """See `Backend.prepare`: loads the plugin."""
        load_plugin()


def scriptable(model: EnergyModel) -> bool:
    """Whether a model has a TorchScript form."""
    try:
        model.module()
    except MismatchError:
        return False
    return True


def load_plugin() -> Any:
    """Import openmmtorch so that it works even if ``import openmm`` came before ``import torch``.

    OpenMM loads its plugins when it is imported. This plugin's libraries need those of torch and fail to load without
    them, so this function loads them again. Call it before you read a System with a TorchForce from XML.

    Returns
    -------
    module
        openmmtorch.

    Raises
    ------
    ImportError
        openmmtorch is not installed.
    """
    root = logging.getLogger()
    root.addFilter(_no_old_name)
    try:
        import openmmtorch
    finally:
        root.removeFilter(_no_old_name)
    if not openmm.Platform.getPlatformByName("Reference").supportsKernels(["CalcTorchForce"]):
        for library in sorted(Path(openmm.version.openmm_library_path, "plugins").glob("*OpenMMTorch*")):
            with contextlib.suppress(openmm.OpenMMException):  # raised for a platform that this machine lacks
                openmm.Platform.loadPluginLibrary(str(library))
    return openmmtorch


def _no_old_name(record: logging.LogRecord) -> bool:
    """Drop the warning about the old name simtk.openmm, which openmmtorch imports and no user can change."""
    return "simtk.openmm" not in record.getMessage()


class _Spring(torch.nn.Module):
    """The energy ½ Σ x² over all coordinates, in nm and kJ/mol."""

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = positions.detach()
        return 0.5 * (x * x).sum(), -x


def run_self_test() -> None:
    """Test a TorchForce; `TorchForceBackend.state` runs this in a separate process."""
    force = load_plugin().TorchForce(torch.jit.script(_Spring().eval()))
    force.setOutputsForces(True)
    self_test(force)
