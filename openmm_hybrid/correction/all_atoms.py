"""The global recipe: a correction of all atoms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from openmm_hybrid import sgdml
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.residual import bonds_of, residual
from openmm_hybrid.models_io.correction import Correction


def train(
    forcefield: EnergyModel,
    frames: Frames,
    *,
    reference: EnergyModel | None = None,
    sigma: float | str = 1.0,
    lam: float = 1e-10,
    perms: ArrayLike | str | None = "auto",
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
) -> Correction:
    """An sGDML model of the residual: force field + correction ≈ reference (arXiv:2008.04198, Sec. V).

    The sum of the two is ``Sum((forcefield, correction.in_molecule()))``. In a simulation, `attach` the correction's
    model to the System that the force field came from. With ``atoms=`` the labels are the residual forces on these
    atoms, unchanged; `train_local` makes better ones.

    Parameters
    ----------
    forcefield : EnergyModel
        For example ``BuiltSystem.model()`` or a `ForceField`.
    frames : Frames
        Frames with energies and forces of the reference, or geometries alone if `reference` labels them.
    reference : EnergyModel, optional
        Model that labels the frames, such as an sGDML model of coupled-cluster labels.
    sigma : float, 1/Å, or "search"
        Length of the kernel. Our choice of 1 is about the distance between the descriptors of training frames at a few
        hundred kelvin, so that away from them the correction fades and the force field is left. With the 10 to 100 of
        stand-alone sGDML models the kernel continues like a polynomial there, which can lead a simulation astray.
    atoms : (n_chosen,), optional
        Indices of the atoms that the model is for; all by default.
    selection : "random", "stratified" or "auto"
        How training frames are chosen. At random by default, since the energy of a residual tells little about the
        geometry.
    lam, perms, molecule, n_train, n_valid, seed, solver, max_memory, checkpoint, device, progress
        As in `openmm_hybrid.sgdml.train`.

    Returns
    -------
    Correction
        Its model is an `SGDMLModel`. Its report has "n_train", "sigma" and "lam".

    Raises
    ------
    MismatchError
        The force field, the molecule and the frames have different atoms, or another order of atoms.
    InputError
        The frames lack labels, or `sgdml.train` refuses a setting.
    """
    model = sgdml.train(
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
    text = f"{model.n_train} training frames, sigma {model.sigma:g}, lam {model.lam:g}"
    report = {"n_train": model.n_train, "sigma": model.sigma, "lam": model.lam, "summary": text}
    chosen = None if atoms is None else np.asarray(atoms)
    return Correction(model, chosen, frames.atomic_numbers, "train", report, bonds_of(frames, molecule))
