"""The torch shell around a model's module: OpenMM's particles and units outside, the model's atoms and units inside.

Both torch backends share it. It gathers the model's atoms, makes each copy whole where the box is periodic, evaluates
all copies at once, and scatters the forces. Few torch operations and no gradient tape: it runs at every step.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from openmm_hybrid.core.units import ANGSTROM_PER_NM, FORCE_KJ_NM, KJ_PER_KCAL
from openmm_hybrid.models.torchscript import metadata, torch_dtype, write_script
from openmm_hybrid.systems.placement import Placement


def shell(placement: Placement, inner: torch.nn.Module) -> torch.nn.Module:
    """A module with OpenMM's convention.

    forward(positions (n_particles, 3) nm[, box (3, 3) nm][, scale]) → (energy kJ/mol, forces (n_particles, 3)
    kJ/mol/nm); box where the placement is periodic, scale where it names a parameter. The energy depends on `scale`
    in torch's gradient tape too, and on nothing else there.

    Parameters
    ----------
    placement : Placement
    inner : torch.nn.Module
        ``placement.model.module()``, in the wanted dtype.
    """
    core = _Core(placement, inner)
    if placement.periodic:
        return _PeriodicScaled(core) if placement.scale else _Periodic(core)
    return _OpenScaled(core) if placement.scale else _Open(core)


def export_torchforce(
    placement: Placement, path: str | Path, *, name: str = "", theory: str = "", dtype: str = "float64"
) -> Path:
    """Write a placed model as a TorchScript file that openmmtorch.TorchForce takes without this package.

    ::

        force = openmmtorch.TorchForce("correction.pt")
        force.setOutputsForces(True)
        force.setUsesPeriodicBoundaryConditions(True)      # where the placement is periodic
        force.addGlobalParameter("lambda", 1.0)            # where it has a scale

    The calls that the file needs stand in its metadata.json under "calling".

    Raises
    ------
    MismatchError
        The model has no TorchScript form.
    InputError
        Unknown dtype.
    """
    script = torch.jit.script(shell(placement, placement.model.module().to(torch_dtype(dtype))).eval())
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
    """What the four calling conventions share."""

    def __init__(self, placement: Placement, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        # TorchScript takes numbers from attributes, not from the names of another module.
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
        # The atoms, then the far ends of the bonds, then the near ones: a single gather serves all three.
        self.gathered = torch.nn.Buffer(
            torch.tensor(np.concatenate([flat, edges[..., 1].ravel(), edges[..., 0].ravel()]))
        )
        self.on_path = torch.nn.Buffer(torch.tensor(on_path))

    def forward(
        self, positions: torch.Tensor, box: torch.Tensor | None, scale: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # Not detach(): torch.jit.freeze removes it, and the tape would run through the whole model.
        particles = positions.data
        chosen = particles if self.all_particles else particles.index_select(0, self.gathered)
        if box is not None:
            chosen = self.whole(chosen, box)
        energies, forces = self.inner(chosen.view(self.n_copies, self.n_atoms, 3) * self.to_angstrom)
        energy = energies.sum() * self.to_kj
        if scale is not None:
            # Only the energy keeps the tape to the scale: TorchForce takes dE/dλ from it.
            energy = energy * scale.to(energy.dtype)
            forces = forces * scale.data.to(forces.dtype)
        forces = (forces * self.to_kj_nm).to(particles.dtype).reshape(-1, 3)
        if self.all_particles:
            return energy, forces.contiguous()  # TorchForce reads the memory as it lies
        return energy, torch.zeros_like(particles).index_copy_(0, self.atoms, forces)

    def whole(self, gathered: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
        """The chosen atoms (n_copies · n_atoms, 3), at the images that are bonded to their copy's first.

        Right for any reduced triclinic box whose widths are more than twice the length of each bond: the fractional
        coordinates of a bond vector then round to its number of boxes crossed. Sums of whole numbers are exact.
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
