"""Add energy models to an OpenMM System as forces."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import openmm
from numpy.typing import ArrayLike
from openmm import app

from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.torchscript import torch_dtype
from openmm_hybrid.systems.placement import Placement, place
from openmm_hybrid.systems.plan import choose, plan


def attach(
    system: openmm.System,
    topology: app.Topology,
    model: EnergyModel,
    *,
    atoms: ArrayLike | None = None,
    backend: str = "auto",
    force_group: int = 0,
    scale: str | None = None,
    dtype: str = "float64",
) -> list[openmm.Force]:
    """Add a model to a System as OpenMM forces; what is there already stays.

    Molecules may be wrapped atom by atom into a periodic box, rectangular or triclinic: each copy is made whole along
    its bonds. Whether the System is periodic is asked now, so attach after the other forces are there. Call it before
    a Context is made.

    Parameters
    ----------
    system, topology : openmm.System, openmm.app.Topology
        Of the same particles.
    model : EnergyModel
        Such as an sGDML model, a correction, or a Sum.
    atoms : (n_atoms,) or (n_copies, n_atoms), optional
        Particles (0-based) in the model's atom order, for each copy of the molecule; None stands for all particles of
        the System in their order.
    backend : str
        "native", "spline", "torchforce", "pythonforce", or "auto": every part of the model goes to the first of these
        that takes it and works here. "native" and "spline" take bonded terms of a ForceField.
    force_group : int
        0 to 31.
    scale : str, optional
        Name of a new global parameter that multiplies energy and forces, such as "lambda"; it starts at 1. With
        torchforce ``context.getState(parameterDerivatives=True)`` has dE/dλ; PythonForce cannot give it.
    dtype : {"float64", "float32"}
        In which torch computes; native and spline compute as OpenMM's platform does.

    Returns
    -------
    list of openmm.Force
        The forces, which the System now owns.

    Raises
    ------
    InputError
        Atoms out of range or given twice, unknown backend or dtype, a bad force group or parameter name.
    MismatchError
        System, topology and model do not belong together (the message names the first wrong atom), the atoms of a
        periodic System are not connected, or no backend takes the model.
    MissingDependencyError
        The backend, or with "auto" every backend, does not work here; the message says what to install.

    Warns
    -----
    UserWarning
        Constraints lie inside the model's atoms.
    """
    torch_dtype(dtype)
    placement = place(system, topology, model, atoms=atoms, scale=scale, force_group=force_group)
    forces = planned_forces(placement, backend, dtype)
    warn_of_constraints(system, placement)
    for force in forces:
        system.addForce(force)
    return forces


def planned_forces(placement: Placement, backend: str, dtype: str) -> list[openmm.Force]:
    """The forces of a placed model, not yet in a System; raises as `attach`."""
    return [
        force
        for carrier, part in plan(placement.model, choose(backend))
        for force in carrier.forces(replace(placement, model=part), dtype=dtype)
    ]


def warn_of_constraints(system: openmm.System, placement: Placement) -> None:
    """Warn, on behalf of the caller's caller, of constraints inside the placed model."""
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
