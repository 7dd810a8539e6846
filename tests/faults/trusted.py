"""Ordinary inputs without a mistake, which must pass without a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import openmm_hybrid as oh
from openmm_hybrid import Frames, Molecule
from openmm_hybrid.core.errors import HybridError
from openmm_hybrid.forcefield.library import names
from tests.helpers.gaff_molecules import DRUGS, gasteiger

FREESOLV = (
    *(
        "CCCCC",
        "CC(C)CO",
        "c1ccc(cc1)Cl",
        "CCOC(=O)C",
        "CCCCCC=O",
        "CC(C)Br",
        "C1CCNCC1",
        "CCSCC",
        "c1ccncc1",
        "CN(C)C=O",
    ),
    *(
        "C(C(F)(F)F)O",
        "Cc1ccccc1N",
        "CC#N",
        "CCC#C",
        "COc1ccccc1OC",
        "CCCN(CCC)CCC",
        "C[N+](=O)[O-]",
        "ClC(Cl)=C(Cl)Cl",
    ),
    *("CC(C)(C)O", "C=CC=C", "c1ccc2ccccc2c1", "CCP(=O)(OCC)OCC", "CS(=O)(=O)C", "OCC(O)CO", "C/C=C/C", "CCCCI"),
)
"""Molecules of the kind that FreeSolv has."""


def passes(call: Callable[[], object]) -> str:
    """Empty if the call ends without a warning, otherwise the warning or the error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
        except HybridError as error:
            return str(error)
    texts = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    return texts[0] if texts else ""


def build(smiles: str) -> None:
    """A molecule from SMILES with GAFF's default version."""
    molecule = Molecule.from_smiles(smiles)
    oh.build(molecule, charges=gasteiger(molecule))


def fit_and_train(path: Path) -> None:
    """A data set of 200 frames through a fit, and through the training of an sGDML model."""
    frames = Frames.load(path)
    frames = frames[np.linspace(0, len(frames) - 1, 200).astype(int)]
    molecule = Molecule.from_geometry(frames.atomic_numbers, frames.positions[0])
    system = oh.build(molecule, charges=gasteiger(molecule))
    forcefield = oh.ForceField.from_system(system.system, system.topology)
    oh.fit(forcefield, frames, n_train=150, n_test=50, md_steps=0, progress=False)
    oh.sgdml.train(frames, n_train=20, n_valid=20, sigma=10, progress=False)


def revised(path: Path, folder: Path) -> None:
    """The same data in the layout of rMD17's npz files, whose units are kcal/mol and Å."""
    frames = Frames.load(path)[:50]
    energies, forces = frames.labels()
    np.savez(
        folder / "rmd17.npz",
        nuclear_charges=frames.atomic_numbers,
        coords=frames.positions,
        energies=energies,
        forces=forces,
        old_indices=np.arange(50),
    )
    Frames.load(folder / "rmd17.npz", e_unit="kcal/mol")


def cases(data: Path, folder: Path) -> dict[str, Callable[[], object]]:
    """Name → a call that must pass without a warning. `data` is the folder of the reference data."""
    found: dict[str, Callable[[], object]] = {f"build {name}": partial(build, smiles) for name, smiles in DRUGS.items()}
    found |= {f"build {smiles}": partial(build, smiles) for smiles in FREESOLV}
    for path in sorted(data.glob("*.npz")):
        if not path.name.startswith("sgdml_model"):
            found[f"fit and train {path.name}"] = partial(fit_and_train, path)
        if path.name.startswith("md17"):
            found[f"read as rMD17 {path.name}"] = partial(revised, path, folder)
    return found | {f"load {name}": partial(oh.load, name) for name in names()}
