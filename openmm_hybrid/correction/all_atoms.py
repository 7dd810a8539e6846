"""The global recipe: a correction of all atoms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.residual import residual

if TYPE_CHECKING:
    from openmm_hybrid.sgdml import SGDMLModel


def train(
    forcefield: EnergyModel,
    frames: Frames,
    *,
    reference: EnergyModel | None = None,
    sigma: float | str = 1.0,
    lam: float = 1e-10,
    perms: ArrayLike | str | None = "graph",
    molecule: Molecule | None = None,
    atoms: ArrayLike | None = None,
    n_train: int | None = None,
    n_valid: int | None = None,
    selection: str = "random",
    seed: int = 0,
    solver: str = "auto",
    max_memory: float | None = None,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
) -> SGDMLModel:
    """An sGDML model of the residual: force field + correction ≈ reference (arXiv:2008.04198, Sec. V).

    The sum of the two is ``Sum((force_field, correction))``; in a simulation, `attach` the correction to the System
    that the force field came from. For a correction of some atoms see `train_local`; ``atoms=`` here trains on their
    residual forces as they are. Such a model goes into the Sum in an `OnAtoms`, and is attached with ``atoms=``.

    Parameters
    ----------
    forcefield : EnergyModel
        Such as ``GaffSystem.model()``, or a `ForceField`.
    frames : Frames
        With energies and forces of the reference; geometries alone where `reference` labels them.
    reference : EnergyModel, optional
        A model as the reference, such as an sGDML model of coupled-cluster labels.
    sigma : float, 1/Å, or "search"
        Length of the kernel. Our choice of 1 is about the distance between the descriptors of training frames at a few
        hundred kelvin: away from them the correction fades, and the force field is left. The 10 to 100 of sGDML models
        that stand alone continue it as a polynomial there, which can lead a simulation astray.
    selection : "random", "stratified" or "auto"
        At random by default, since energies of a residual say little about the geometry.
    lam, perms, molecule, atoms, n_train, n_valid, seed, solver, max_memory, checkpoint, device, progress
        As in `openmm_hybrid.sgdml.train`.

    Raises
    ------
    MismatchError
        The force field and the frames have other atoms.
    InputError
        The frames lack labels, or `sgdml.train` refuses a setting.
    """
    from openmm_hybrid import sgdml

    return sgdml.train(
        residual(forcefield, frames, reference=reference),
        sigma=sigma,
        lam=lam,
        perms=perms,
        molecule=molecule,
        atoms=atoms,
        n_train=n_train,
        n_valid=n_valid,
        selection=selection,
        seed=seed,
        solver=solver,
        max_memory=max_memory,
        checkpoint=checkpoint,
        device=device,
        progress=progress,
    )
