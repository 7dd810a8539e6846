"""The backend of the modern stack: PythonForce, part of OpenMM since version 8.5."""

from __future__ import annotations

import io
from typing import Any, final

import numpy as np
import openmm
import torch
from numpy.typing import NDArray
from openmm import unit

from openmm_hybrid.core.stacks import reinstall_line
from openmm_hybrid.core.trial import probe
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.torchscript import torch_dtype
from openmm_hybrid.systems.backends.backend import Backend, BackendState
from openmm_hybrid.systems.backends.self_test import self_test
from openmm_hybrid.systems.backends.torchforce import scriptable
from openmm_hybrid.systems.placement import Placement
from openmm_hybrid.systems.torch_wrapper import module_name, wrap_for_openmm

_MISSING = "PythonForce came with OpenMM 8.5: pip install 'openmm>=8.6.1'"
_SELF_TEST = "from openmm_hybrid.systems.backends.pythonforce import run_self_test; run_self_test()"


@final
class PythonForceBackend(Backend):
    """Carries every model; those without a TorchScript form through `EnergyModel.evaluate`.

    PythonForce of OpenMM 8.5 and 8.6 has no parameter derivatives: a scale works, but getState reports dE/dλ as 0. As
    the energy is proportional to λ, take E(λ)/λ instead.
    """

    needs_torch = True
    parameter_derivatives = False
    holds_code = True
    holds_pickle = True
    force_type = "PythonForce"
    not_beside = ("TorchForce",)

    @property
    def name(self) -> str:
        """See `Backend.name`."""
        return "pythonforce"

    def state(self, *, refresh: bool = False) -> BackendState:
        """See `Backend.state`."""
        if not hasattr(openmm, "PythonForce"):
            return BackendState("missing", f"OpenMM {openmm.__version__} has no PythonForce", _MISSING)
        needed = ("openmm", "torch", "numpy")
        outcome = probe(_SELF_TEST, needed, refresh=refresh)
        if outcome.ok:
            return BackendState("works", outcome.detail)
        return BackendState("incompatible", outcome.detail, f"install them again: {reinstall_line(*needed)}")

    def takes(self, model: EnergyModel) -> bool:
        """See `Backend.takes`: every model."""
        return True

    def forces(self, placement: Placement, *, dtype: str = "float64") -> list[openmm.Force]:
        """See `Backend.forces`: one PythonForce, restricted to the particles that the model needs if OpenMM can do it.

        PythonForce of OpenMM 8.5 has no ``setParticles``. It passes all particles, and the forces on the others are 0.
        """
        restricts = hasattr(openmm.PythonForce, "setParticles")
        particles, local = placement.localised() if restricts else (np.arange(placement.n_particles), placement)
        module: torch.nn.Module
        if scriptable(local.model):
            inner = local.model.module()
            name = module_name("HybridPythonForce", inner, placement.atoms)
            module = torch.jit.script(wrap_for_openmm(local, inner.to(torch_dtype(dtype))).eval())
        else:
            module = wrap_for_openmm(local, _Evaluated(local.model))
            name = module_name("HybridPythonForce", module, placement.atoms)
        compute = _Compute(module, local.periodic, local.scale)
        force = openmm.PythonForce(compute, {local.scale: 1.0} if local.scale else {})
        # Declare the force periodic in every periodic System: otherwise the State has no box, and OpenMM 8.6.1 passes
        # wrong positions.
        force.setUsesPeriodicBoundaryConditions(local.periodic)
        if len(particles) < placement.n_particles:
            force.setParticles(particles.tolist())
        force.setForceGroup(placement.force_group)
        force.setName(name)
        return [force]


class _Compute:
    """The function that PythonForce calls: it maps a State to energy (kJ/mol) and forces (kJ/mol/nm)."""

    def __init__(self, module: torch.nn.Module, periodic: bool, scale: str) -> None:
        self.module = module
        self.periodic = periodic
        self.scale = scale

    def __call__(self, state: openmm.State) -> tuple[float, NDArray[Any]]:
        arguments = [torch.from_numpy(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))]
        if self.periodic:
            box = state.getPeriodicBoxVectors().value_in_unit(unit.nanometer)
            arguments.append(torch.tensor(box, dtype=torch.float64))
        if self.scale:
            arguments.append(torch.tensor(state.getParameters()[self.scale], dtype=torch.float64))
        with torch.no_grad():
            energy, forces = self.module(*arguments)
        return float(energy), forces.numpy()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle a TorchScript module in its own file format; OpenMM's serializer and deepcopy pickle this object."""
        if not isinstance(self.module, torch.jit.ScriptModule):
            return _Compute, (self.module, self.periodic, self.scale)
        buffer = io.BytesIO()
        torch.jit.save(self.module, buffer)
        return _restore, (buffer.getvalue(), self.periodic, self.scale)


def _restore(script: bytes, periodic: bool, scale: str) -> _Compute:
    return _Compute(torch.jit.load(io.BytesIO(script)), periodic, scale)


class _Evaluated(torch.nn.Module):
    """A module that calls `EnergyModel.evaluate`, for models without a TorchScript form."""

    def __init__(self, model: EnergyModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energies, forces = self.model.evaluate(positions.numpy().astype(np.float64))
        return torch.from_numpy(energies), torch.from_numpy(forces)


def _spring(state: openmm.State) -> tuple[float, NDArray[np.float64]]:
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    return 0.5 * float((positions**2).sum()), -positions


def run_self_test() -> None:
    """Test a PythonForce; `PythonForceBackend.state` runs this in a separate process."""
    self_test(openmm.PythonForce(_spring, {}))
