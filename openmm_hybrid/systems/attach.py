"""Attaching: energy models become forces of an OpenMM System."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import app

from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.torchscript import torch_dtype
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.systems.double_counting import refuse_complete_models, refuse_repeats
from openmm_hybrid.systems.placement import Placement, global_parameters, locate
from openmm_hybrid.systems.plan import choose, plan


def attach(
    system: openmm.System,
    topology: app.Topology,
    model: EnergyModel | Correction,
    *,
    atoms: ArrayLike | None = None,
    backend: str = "auto",
    force_group: int = 0,
    scale: str | None = None,
    dtype: str = "float64",
    repeat: bool = False,
) -> list[openmm.Force]:
    """Add a model to a System as OpenMM forces. The forces already in the System stay.

    Molecules may be wrapped atom by atom into a rectangular or triclinic periodic box: `attach` makes each copy whole
    along its bonds. It asks the System whether it is periodic, so call it after you have added the other forces and
    before you create a Context.

    Parameters
    ----------
    system, topology : openmm.System, openmm.app.Topology
        A System and the topology of its particles.
    model : EnergyModel or Correction
        For example an sGDML model, a force field, a Sum, or a correction read from a file.
    atoms : (n_atoms,) or (n_copies, n_atoms), optional
        Particles (0-based) in the model's atom order, one row for each copy of the molecule; for a Correction, the
        particles of the whole molecule in the atom order of the correction's data. None means all particles of the
        System in their order.
    backend : str
        Name of a backend (see docs/backends.md), or "auto" to give each part of the model to the first backend that
        takes it and works here.
    force_group : int
        Force group, 0 to 31. In a group of its own, a model can act less often than the other forces, with OpenMM's
        MTSLangevinIntegrator or MTSIntegrator; `sample` does so with `outer_timestep`.
    scale : str, optional
        Name of a new global parameter, such as "lambda", that multiplies energy and forces; it starts at 1. Every
        backend with `parameter_derivatives` lets ``context.getState(parameterDerivatives=True)`` return dE/dλ.
    dtype : {"float64", "float32"}
        Precision of torch. OpenMM's platform sets the precision of backends without torch.
    repeat : bool
        Add the model even if the System has the same force on the same particles already, or bonds in place of which a
        complete force field belongs, so that both count.

    Returns
    -------
    list of openmm.Force
        The new forces, which the System now owns.

    Raises
    ------
    InputError
        Atoms out of range or given twice, unknown backend or dtype, a bad force group or parameter name.
    MismatchError
        System, topology and model do not belong together (the message names the first wrong atom), the atoms of a
        periodic System are not connected, no backend takes the model, or the System has this model already. It has
        bonds of its own where the model is a complete force field (see `openmm_hybrid.replace`). Or it has a TorchForce
        where the model needs a PythonForce, or the reverse: OpenMM hangs with both on OpenCL.
    MissingDependencyError
        The backend, or with "auto" every backend, does not work here; the message says what to install.

    Warns
    -----
    UserWarning
        Constraints lie inside the model's atoms, or an sGDML model of the whole energy is added to bonds of the System.
    """
    torch_dtype(dtype)
    placement = locate(system, topology, model, atoms=atoms, scale=scale, force_group=force_group)
    forces = planned_forces(system, placement, backend, dtype)
    if not repeat:
        refuse_repeats(system, forces)
        # The same forces with the name of a scale that the System has, or without one, are repeats too.
        for name in {"", *global_parameters(system)} - {placement.scale}:
            refuse_repeats(system, planned_forces(system, replace(placement, scale=name), backend, dtype))
        refuse_complete_models(system, placement)
    warn_of_constraints(system, placement)
    for force in forces:
        system.addForce(force)
    return forces


def planned_forces(system: openmm.System, placement: Placement, backend: str, dtype: str) -> list[openmm.Force]:
    """Forces of a located model, not yet in the System; raises as `attach`."""
    return [
        force
        for chosen, part in plan(placement.model, choose(backend), system)
        for force in chosen.forces(replace(placement, model=part), dtype=dtype)
    ]


def warn_of_constraints(system: openmm.System, placement: Placement) -> None:
    """Warn of constraints inside the located model; the warning names the caller's caller."""
    copy_of = np.full(placement.n_particles, -1)
    copy_of[placement.atoms] = np.arange(len(placement.atoms))[:, None]
    pairs = [system.getConstraintParameters(k)[:2] for k in range(system.getNumConstraints())]
    inside = [(i, j) for i, j in pairs if copy_of[i] >= 0 and copy_of[i] == copy_of[j]]
    if inside:
        warnings.warn(
            f"{len(inside)} constraints lie inside the model's atoms (the first: {inside[0][0]}-{inside[0][1]}): the "
            "model's force along them has no effect; build the System with constraints=None to let it act",
            stacklevel=3,
        )
