"""The backend of the plugin stacks: TorchForce from the package openmmtorch."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import openmm
import torch

from openmm_hybrid.core.errors import MismatchError, MissingDependencyError
from openmm_hybrid.core.stacks import PLUGIN_BUILDS, PluginBuild, describe, installed_builds, plugin_hint
from openmm_hybrid.core.trial import probe
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.torchscript import torch_dtype
from openmm_hybrid.systems.backends.backend import Backend, BackendState
from openmm_hybrid.systems.backends.self_test import self_test
from openmm_hybrid.systems.placement import Placement
from openmm_hybrid.systems.torch_wrapper import module_name, wrap_for_openmm

_SELF_TEST = "from openmm_hybrid.systems.backends.torchforce import run_self_test; run_self_test()"


@final
class TorchForceBackend(Backend):
    """Carries every model that has a TorchScript form, with analytic forces and dE/dλ."""

    needs_torch = True
    holds_code = True
    force_type = "TorchForce"
    not_beside = ("PythonForce",)

    @property
    def name(self) -> str:
        """See `Backend.name`."""
        return "torchforce"

    def state(self, *, refresh: bool = False) -> BackendState:
        """See `Backend.state`."""
        found = installed_builds()
        hint = plugin_hint(found)
        if not found:
            names = ", ".join(build.distribution for build in PLUGIN_BUILDS)
            return BackendState("missing", f"no build of openmmtorch is installed ({names})", hint)
        if len(found) > 1:
            return BackendState("incompatible", _several(found), hint)
        outcome = probe(_SELF_TEST, ("openmm", "torch", found[0].distribution), refresh=refresh)
        return (
            BackendState("works", outcome.detail) if outcome.ok else BackendState("incompatible", outcome.detail, hint)
        )

    def takes(self, model: EnergyModel) -> bool:
        """See `Backend.takes`: every model with a TorchScript form."""
        return scriptable(model)

    def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
        """See `Backend.forces`: one TorchForce."""
        inner = placement.model.module()
        name = module_name("HybridTorchForce", inner, placement.atoms)
        module = wrap_for_openmm(placement, inner.to(torch_dtype(dtype)))
        # The module is not frozen here: the plugin first moves it to the GPU and then freezes it.
        force = load_plugin().TorchForce(torch.jit.script(module.eval()))
        force.setOutputsForces(True)
        force.setUsesPeriodicBoundaryConditions(placement.periodic)
        force.setForceGroup(placement.force_group)
        force.setName(name)
        if placement.scale:
            force.addGlobalParameter(placement.scale, 1.0)
            force.addEnergyParameterDerivative(placement.scale)
        return [force]

    def prepare(self) -> None:
        """See `Backend.prepare`: loads the plugin."""
        load_plugin()

    def made(self, force: openmm.Force) -> bool:
        """See `Backend.made`: OpenMM returns a force of a plugin as a bare Force, so this asks the plugin."""
        if type(force).__name__ != "Force":
            return super().made(force)
        return self.state().works and bool(load_plugin().TorchForce.isinstance(force))


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
        openmmtorch is not installed, or several builds of it are (MissingDependencyError, an ImportError).
    """
    found = installed_builds()
    if len(found) > 1:
        raise MissingDependencyError(_several(found), hint=plugin_hint(found))
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


def _several(found: Sequence[PluginBuild]) -> str:
    return f"{describe(found)} are installed together and overwrite each other's files"


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
