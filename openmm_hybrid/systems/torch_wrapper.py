"""A torch module that translates between OpenMM's particles and units and those of a model.

Both torch backends use it. It gathers the model's atoms, makes each copy whole in a periodic box, evaluates all copies
at once, and scatters the forces. It runs at every step, hence few torch operations and no gradient tape.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import torch
from numpy.typing import ArrayLike, NDArray
from openmm import app

from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.units import ANGSTROM_PER_NM, FORCE_KJ_NM, KJ_PER_KCAL
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.torchscript import metadata, torch_dtype, write_script
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.systems.placement import Placement, locate


def wrap_for_openmm(placement: Placement, inner: torch.nn.Module) -> torch.nn.Module:
    """Wrap a model's module in one that OpenMM can call.

    Parameters
    ----------
    placement : Placement
    inner : torch.nn.Module
        ``placement.model.module()``, converted to the dtype of the computation.

    Returns
    -------
    torch.nn.Module
        forward(positions (n_particles, 3) nm[, box (3, 3) nm][, scale]) → (energy kJ/mol, forces (n_particles, 3)
        kJ/mol/nm), with box if the placement is periodic and scale if it names a parameter. The energy carries torch's
        gradient tape to `scale` and to nothing else.
    """
    core = _Core(placement, inner)
    if placement.periodic:
        return _PeriodicScaled(core) if placement.scale else _Periodic(core)
    return _OpenScaled(core) if placement.scale else _Open(core)


def module_name(kind: str, module: torch.nn.Module, particles: NDArray[np.int64]) -> str:
    """A name for a force: its kind and a hash of its particles and of the module's tensors, which hold the model.

    OpenMM's XML of a torch force differs from one call to the next, so that two of them are compared by name. The
    module is the model's own, in double precision, so that neither scale nor dtype change the name. Models without a
    TorchScript form are not told apart.
    """
    tensors = named_tensors(module)
    if not tensors:
        return f"{kind} {id(module):x}"
    values = (value.detach().cpu().numpy() for value in tensors.values())
    return f"{kind} {fingerprint(particles, *tensors, *values)[:12]}"


def named_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Buffers and parameters of a module by name: the buffers of our own models, the weights of others."""
    return dict(module.named_buffers()) | dict(module.named_parameters())


def export_torchforce(
    path: str | Path,
    system: openmm.System,
    topology: app.Topology,
    model: EnergyModel | Correction,
    *,
    atoms: ArrayLike | None = None,
    scale: str | None = None,
    name: str = "",
    theory: str = "",
    dtype: str = "float64",
) -> Path:
    """Write a model as a TorchScript file that openmmtorch.TorchForce reads without this package.

    ::

        force = openmmtorch.TorchForce("correction.pt")
        force.setOutputsForces(True)
        force.setUsesPeriodicBoundaryConditions(True)      # if the System is periodic
        force.addGlobalParameter("lambda", 1.0)            # if there is a scale

    The metadata.json inside the file lists these calls under "calling". The file fits this System alone.

    Parameters
    ----------
    path : path
        File to write; its name ends in .pt.
    system, topology : openmm.System, openmm.app.Topology
        A System and the topology of its particles. Neither is changed.
    model : EnergyModel or Correction
    atoms, scale
        As in `attach`.
    name, theory : str
        Notes for the metadata: name of the model and level of theory.
    dtype : {"float64", "float32"}
        Precision of torch.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    MismatchError
        The model has no TorchScript form, or System, topology and model do not belong together.
    InputError
        Unknown dtype, atoms out of range or given twice, or a bad scale.
    """
    placement = locate(system, topology, model, atoms=atoms, scale=scale)
    script = torch.jit.script(wrap_for_openmm(placement, placement.model.module().to(torch_dtype(dtype))).eval())
    arguments = ["positions (n_particles, 3) nm"]
    setup = ["setOutputsForces(True)"]
    if placement.periodic:
        arguments.append("box (3, 3) nm")
        setup.append("setUsesPeriodicBoundaryConditions(True)")
    if placement.scale:
        arguments.append(placement.scale)
        setup.append(f"addGlobalParameter({placement.scale!r}, 1.0)")
    calling = (
        f"forward({', '.join(arguments)}) -> (energy kJ/mol, forces (n_particles, 3) kJ/mol/nm); {', '.join(setup)}"
    )
    notes = metadata(placement.model, name=name, theory=theory, dtype=dtype, convention="openmm", calling=calling)
    notes |= {"n_particles": placement.n_particles, "atoms": placement.atoms.tolist()}
    return write_script(script, path, notes)


class _Core(torch.nn.Module):
    """The computation that the four calling conventions share."""

    def __init__(self, placement: Placement, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        # TorchScript reads numbers from attributes of the module, not from names of another Python module.
        self.to_angstrom, self.to_kj, self.to_kj_nm = ANGSTROM_PER_NM, KJ_PER_KCAL, FORCE_KJ_NM
        self.n_copies, self.n_atoms = placement.atoms.shape
        self.n_chosen = placement.atoms.size
        flat = placement.atoms.ravel()
        self.all_particles = placement.paths is None and np.array_equal(flat, np.arange(placement.n_particles))
        self.atoms = torch.nn.Buffer(torch.tensor(flat))
        edges = np.zeros((self.n_copies, 0, 2), dtype=np.int64)
        on_path = np.zeros((self.n_copies, self.n_atoms, 0))
        if placement.paths is not None:
            edges, on_path = placement.paths.edges, placement.paths.on_path
        self.n_edges = edges[..., 0].size
        # A single gather serves the atoms, the far ends of the bonds and their near ends, in this order.
        self.gathered = torch.nn.Buffer(
            torch.tensor(np.concatenate([flat, edges[..., 1].ravel(), edges[..., 0].ravel()]))
        )
        self.on_path = torch.nn.Buffer(torch.tensor(on_path))

    def forward(
        self, positions: torch.Tensor, box: torch.Tensor | None, scale: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # torch.jit.freeze removes detach(), and the tape would then run through the whole model.
        particles = positions.data
        chosen = particles if self.all_particles else particles.index_select(0, self.gathered)
        if box is not None:
            chosen = self.whole(chosen, box)
        energies, forces = self.inner(chosen.view(self.n_copies, self.n_atoms, 3) * self.to_angstrom)
        energy = energies.sum() * self.to_kj
        if scale is not None:
            # Only the energy keeps the tape to the scale, from which TorchForce computes dE/dλ.
            energy = energy * scale.to(energy.dtype)
            forces = forces * scale.data.to(forces.dtype)
        forces = (forces * self.to_kj_nm).to(particles.dtype).reshape(-1, 3)
        if self.all_particles:
            return energy, forces.contiguous()  # TorchForce ignores strides
        return energy, torch.zeros_like(particles).index_copy_(0, self.atoms, forces)

    def whole(self, gathered: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
        """The model's atoms (n_copies · n_atoms, 3), at the periodic images bonded to the first atom of their copy.

        This holds in any reduced triclinic box whose widths exceed twice the length of each bond: the fractional
        coordinates of a bond vector then round to the number of boxes that the bond crosses. Sums of whole numbers
        are exact.
        """
        chosen, ends = gathered[: self.n_chosen], gathered[self.n_chosen :]
        bonds = ends[: self.n_edges] - ends[self.n_edges :]
        crossed = torch.linalg.solve_triangular(box, bonds, upper=False, left=False).round()
        images = torch.bmm(self.on_path.to(box.dtype), crossed.view(self.n_copies, -1, 3))
        return torch.addmm(chosen, images.view(-1, 3), box, alpha=-1.0)


class _Open(torch.nn.Module):
    def __init__(self, core: torch.nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.core(positions, None, None)


class _OpenScaled(torch.nn.Module):
    def __init__(self, core: torch.nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(self, positions: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.core(positions, None, scale)


class _Periodic(torch.nn.Module):
    def __init__(self, core: torch.nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(self, positions: torch.Tensor, box: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.core(positions, box, None)


class _PeriodicScaled(torch.nn.Module):
    def __init__(self, core: torch.nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(
        self, positions: torch.Tensor, box: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.core(positions, box, scale)
