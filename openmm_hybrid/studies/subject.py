"""The molecule that a study is asked for, and its lowest minimum in a model."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
import torch
from ase.data import atomic_masses
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.files import expanded, fingerprint, sha256
from openmm_hybrid.core.versioned_npz import NpzFormat, reading, write
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.minima import relax_by
from openmm_hybrid.models.normal_modes import displaced, frequencies, hessian
from openmm_hybrid.reference.engine_files import engine_files
from openmm_hybrid.refinement.refined import CORRECTION, FORCEFIELD, RESULT, Refined
from openmm_hybrid.refinement.source import read_source
from openmm_hybrid.studies.energy_models import is_engine

Floats = NDArray[np.float64]
Predict = Callable[[Floats], tuple[Floats, Floats]]
"""Positions (n, n_atoms, 3) in Å → energies (n,) in kcal/mol and forces (n, n_atoms, 3) in kcal/mol/Å."""

_FORCE = 0.001  # largest force component at a minimum, kcal/mol/Å
_RELAXED = 0.5  # largest force component of a start of dynamics, kcal/mol/Å: the equilibration does the rest
_STRETCH = 1.5  # longest bond of an intact geometry, relative to its length in a reference geometry
_FORMAT = NpzFormat("openmm-hybrid minimum", version=1, what="a minimum of a study", hint="remove it: it is made again")


def study_molecule(text: str, template: str = "") -> Molecule:
    """The molecule of a SMILES, a molecule file, a folder of `build` or a folder of `refine`.

    The molecule of a refinement has the atom order of its force field, and the geometry of its lowest label. A template
    is a SMILES that gives a PDB file its bond orders.

    Raises
    ------
    InputError
        The molecule cannot be read, or the refinement is not finished.
    """
    folder = expanded(text)
    if not os.path.isfile(folder / RESULT):  # Path.is_file fails for a long SMILES
        return read_source(text, template).molecule
    refined = Refined.load(folder)
    labels = refined.labels
    lowest = labels.positions[int(np.argmin(labels.labels()[0]))]
    smiles = json.loads((folder / RESULT).read_text(encoding="utf-8")).get("molecule", "")
    return Molecule.from_geometry(labels.atomic_numbers, lowest, template=str(smiles), name=folder.resolve().name)


def model_label(name: str) -> str:
    """Label of a model: the name of its file without the ending, the name of its folder, or the name itself.

    Labels serve in names of files and figures, and have underscores for characters that do not fit there.
    """
    stem = name.removesuffix(".npz").removesuffix(".pt")
    is_path = stem != name or os.path.isdir(expanded(name))
    return re.sub(r"[^\w.+-]+", "_", expanded(stem).resolve().name if is_path else name).strip("_")


def model_labels(names: tuple[str, ...]) -> dict[str, str]:
    """Label → name for the models of a study.

    Raises
    ------
    InputError
        There are no models, or two labels are equal.
    """
    labels = [model_label(name) for name in names]
    if not labels or not all(labels) or len(set(labels)) < len(labels):
        raise InputError(
            f"models {', '.join(names) or '(none)'}", expected="one or more, with different names of files"
        )
    return dict(zip(labels, names, strict=True))


def model_key(name: str) -> str:
    """A text that changes with the content of a model's file or refinement; the name itself for other models.

    The files that a reference engine names count as well.
    """
    if is_engine(name):
        content = engine_files(name)
        return f"{name} {content}" if content else name
    path = expanded(name)
    files = [path] if os.path.isfile(path) else [path / part for part in (FORCEFIELD, CORRECTION)]
    found = [sha256(file) for file in files if os.path.isfile(file)]
    return fingerprint(*found) if found else name


def predictor(model: EnergyModel) -> Predict:
    """The energies and forces of a model, for many calls: the torch module of a model that has one is made once."""
    try:
        module = model.module().eval()
    except MismatchError:
        return model.evaluate

    def predict(positions: Floats) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            energies, forces = module(torch.tensor(np.ascontiguousarray(positions)))
        return energies.to(torch.float64).numpy(), forces.to(torch.float64).numpy()

    return predict


def partial_charges(model: EnergyModel) -> Floats | None:
    """Partial charges (n_atoms,), e, of a force field or of the force field in a sum; None for other models."""
    if isinstance(model, Sum):
        return next((found for found in map(partial_charges, model.parts) if found is not None), None)
    if not isinstance(model, ForceField):
        return None
    if model.outer is not None:
        return model.outer.charges
    charges = model.tables.atom_parameter("charge")
    return None if charges is None else charges.values


def intact(positions: Floats, reference: Floats, bonds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Geometries (n,) that are finite and have no bond longer than 1.5 times its length in a reference geometry.

    Parameters
    ----------
    positions : (n, n_atoms, 3), Å
    reference : (n_atoms, 3), Å
    bonds : (n_bonds, 2)
    """
    first, second = bonds.T
    longest = _STRETCH * np.linalg.norm(reference[first] - reference[second], axis=-1)
    lengths = np.linalg.norm(positions[:, first] - positions[:, second], axis=-1)
    return np.isfinite(positions).all(axis=(1, 2)) & ~(lengths > longest).any(axis=1)


@final
@dataclass(frozen=True, eq=False)
class Equilibrium:
    """The lowest minimum of a model and its harmonic frequencies.

    Parameters
    ----------
    positions : (n_atoms, 3), Å
    harmonic : (n_modes,), cm⁻¹
        Ascending; negative for imaginary ones.
    """

    positions: Floats = field(repr=False)
    harmonic: Floats

    @classmethod
    def find(cls, predict: Predict, molecule: Molecule, path: Path, *, n_conformers: int, seed: int) -> Equilibrium:
        """The lowest of the minima that a molecule's conformers relax to, from its file if that exists.

        Conformers of the molecule come first, then embedded ones. A minimum without intact bonds does not count.

        Parameters
        ----------
        predict : function
        molecule : Molecule
        path : Path
            File of the result.
        n_conformers : int
        seed : int
            Seed of the embedding.

        Raises
        ------
        NumericalError
            No conformer leads to a minimum with intact bonds.
        """
        if path.is_file():
            with reading(path, _FORMAT) as (_, arrays):
                return cls(arrays.floats("positions", (molecule.n_atoms, 3)), arrays.floats("harmonic", (None,)))
        found: list[tuple[float, Floats]] = []
        for start in conformers(molecule, n_conformers, seed):
            try:
                positions, energy = relax_by(predict, start, max_force=_FORCE)
            except NumericalError:
                continue
            if intact(positions[None], molecule.positions, molecule.bonds)[0]:
                found.append((energy, positions))
        if not found:
            raise NumericalError(
                f"no conformer of {molecule.name} relaxes to a minimum with intact bonds",
                hint="give a geometry within the range of the model",
            )
        lowest = min(found, key=lambda pair: pair[0])[1]
        second = hessian(predict(displaced(lowest))[1])
        made = cls(lowest, frequencies(second, molecule.atomic_numbers, lowest))
        write(path, _FORMAT, {}, {"positions": made.positions, "harmonic": made.harmonic})
        return made


def masses(molecule: Molecule) -> Floats:
    """Standard atomic weights (n_atoms,), amu."""
    return np.asarray(atomic_masses[molecule.atomic_numbers], dtype=np.float64)


def conformers(molecule: Molecule, n_conformers: int, seed: int) -> Floats:
    """Conformers (n, n_atoms, 3), Å: those of the molecule first, then embedded ones.

    Fewer than `n_conformers` for molecules of two or three atoms.
    """
    given = molecule.conformers[:n_conformers]
    if len(given) == n_conformers or molecule.n_atoms < 4:
        return given
    bare = molecule.to_rdkit()
    bare.RemoveAllConformers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the notes on the molecule, a second time
        more = Molecule.from_rdkit(bare, n_conformers=n_conformers - len(given), seed=seed).conformers
    return np.concatenate([given, more])


def relaxed_conformers(predict: Predict, molecule: Molecule, n_conformers: int, seed: int) -> Floats:
    """Conformers of a molecule (n, n_atoms, 3), Å, each relaxed in a model.

    Those that do not relax, or lose a bond, are left out.

    Raises
    ------
    NumericalError
        None is left.
    """
    found = []
    for start in conformers(molecule, n_conformers, seed):
        try:
            positions, _ = relax_by(predict, start, max_force=_RELAXED)
        except NumericalError:
            continue
        if intact(positions[None], molecule.positions, molecule.bonds)[0]:
            found.append(positions)
    if not found:
        raise NumericalError(
            f"no conformer of {molecule.name} relaxes to a geometry with intact bonds",
            hint="give a geometry within the range of the model",
        )
    return np.array(found)
