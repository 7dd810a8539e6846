"""The models that an overview compares: those that are there, and those that it makes itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from openmm_hybrid import reference, sgdml
from openmm_hybrid.analysis.error_table import ErrorTable, error_table
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import expanded, read_json, replacing
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.fitting import fit
from openmm_hybrid.refinement.refined import RESULT, Refined
from openmm_hybrid.refinement.rounds import refine
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.studies.energy_models import base_forcefield, energy_model, is_engine
from openmm_hybrid.studies.subject import model_label, study_molecule

MOLECULE, MODELS, REFINED = "molecule.sdf", "models", "refined"
"""File and folders of the molecule, of the trained models and of the refinement in the folder of an overview."""


@final
@dataclass(frozen=True, eq=False)
class Lineup:
    """A molecule and the models of it that are compared.

    Parameters
    ----------
    molecule : Molecule
        With the atoms in the order of all models.
    file : Path
        SDF file of the molecule.
    models : tuple of str
        Names as in `energy_model`, the base force field first and the reference last.
    errors : dict of str to ErrorTable
        Label of a model → its errors on labelled frames that were not used for training; empty without such frames.
    refined : Refined, optional
        The refinement that made one of the models.
    """

    molecule: Molecule
    file: Path
    models: tuple[str, ...]
    errors: dict[str, ErrorTable] = field(default_factory=dict, repr=False)
    refined: Refined | None = field(default=None, repr=False)

    @property
    def base(self) -> str:
        """Name of the base force field."""
        return self.models[0]

    @property
    def reference(self) -> str:
        """Name of the reference."""
        return self.models[-1]

    @property
    def fast(self) -> tuple[str, ...]:
        """Names of the models that are no reference engines."""
        return tuple(name for name in self.models if not is_engine(name))


def subject(molecule: str, template: str, frames: Frames | None) -> Molecule:
    """The molecule, in the atom order of the frames if there are some.

    Raises
    ------
    InputError
        The molecule cannot be read, or the frames are of another one.
    """
    found = study_molecule(molecule, template)
    if frames is None:
        return found
    lowest = frames.positions[int(np.argmin(frames.labels()[0]))]
    return Molecule.from_geometry(frames.atomic_numbers, lowest, template=found.smiles, name=found.name)


def check_refinement(source: str, molecule: Molecule, engine: str, base: str, charges: str) -> None:
    """Refuse a folder of a refinement with labels of another engine, another base force field or other charges.

    Parameters
    ----------
    source : str
        What the overview was given; anything but such a folder passes.
    molecule : Molecule
    engine, base, charges : str
        As in `refine`.

    Raises
    ------
    InputError
        The folder's description is missing or damaged.
    MismatchError
        The engine, the base force field or the method of its charges differs.
    """
    folder = expanded(source)
    if not _is_refinement(folder):
        return
    job = read_json(folder / "job.json", expected="the settings of a refinement", hint="call refine again")
    options: dict[str, Any] = {"charge": molecule.charge} if molecule.charge else {}
    level = reference.engine(engine, **options).theory
    labels = str(job.get("engine")).partition(" (")[0]  # without the program and its version
    compared = [("engine", labels, level.partition(" (")[0]), ("base", job.get("base"), base)]
    if not job.get("charges_given"):  # otherwise they came with the molecule
        compared.append(("charges", job.get("charges"), charges))
    for name, found, wanted in compared:
        if found != wanted:
            raise MismatchError(
                f"the refinement {folder} has the {name} {found}",
                expected=wanted,
                hint=f"give --{name} as it was given to refine",
            )


def write_sdf(molecule: Molecule, path: Path) -> Path:
    """Write a molecule to an SDF file, unless the file exists, and return the path."""
    from rdkit import Chem

    if not path.is_file():
        with replacing(path) as temporary:
            Chem.MolToMolFile(molecule.to_rdkit(), str(temporary))
    return path


def refined_names(source: str, engine: str, base: str, others: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Names of the models of `refined_lineup`, before they are made."""
    given = expanded(source)
    return (base, str(given if _is_refinement(given) else folder / REFINED), *others, engine)


def trained_names(base: str, others: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Names of the models of `trained_lineup`, before they are made."""
    cross, kernel = (str(folder / MODELS / f"{name}.npz") for name in ("cross", "sgdml"))
    return (base, cross, *others, kernel)


def refined_lineup(
    source: str, molecule: Molecule, engine: str, base: str, charges: str, others: tuple[str, ...], folder: Path,
    *, seed: int, progress: bool,
) -> Lineup:  # fmt: skip
    """A base force field, its refinement and the reference engine of the refinement.

    Parameters
    ----------
    source : str
        What the overview was given: the folder of a refinement is taken as it is, and nothing is refined.
    molecule : Molecule
    engine, base, charges : str
        As in `refine`.
    others : tuple of str
        Further models.
    folder : Path
        Folder of the overview.
    seed : int
    progress : bool

    Raises
    ------
    InputError, NumericalError
        As in `refine`.
    """
    file = write_sdf(molecule, folder / MOLECULE)
    if _is_refinement(expanded(source)):
        refined = Refined.load(source)
    else:
        settings = RefineSettings(base=base, charges=charges, engine=engine, seed=seed)
        refined = refine(molecule, folder / REFINED, settings, progress=progress)
    return Lineup(molecule, file, refined_names(source, engine, base, others, folder), refined=refined)


def trained_lineup(
    frames: Frames, molecule: Molecule, base: str, charges: str, others: tuple[str, ...], folder: Path,
    *, n_train: int, sigma: float | str, seed: int, progress: bool,
) -> Lineup:  # fmt: skip
    """A base force field, the same with cross terms fitted to labelled frames, and an sGDML model of them.

    Parameters
    ----------
    frames : Frames
        Labelled frames.
    molecule : Molecule
        In the atom order of the frames.
    base, charges : str
    others : tuple of str
        Further models.
    folder : Path
        Folder of the overview.
    n_train : int
        Frames for both trainings, the same for both; the others test.
    sigma : float, 1/Å, or "search"
    seed : int
    progress : bool

    Raises
    ------
    InputError
        There are too few frames.
    """
    n_valid = max(20, n_train // 5) if sigma == "search" else 0
    if len(frames) < n_train + n_valid:
        raise InputError(
            f"{len(frames)} labelled frames", expected=f"{n_train + n_valid} or more", hint="lower --n-train"
        )
    file = write_sdf(molecule, folder / MOLECULE)
    data = sgdml.training_set(frames, n_train=n_train, n_valid=n_valid, molecule=molecule, seed=seed)
    models = trained_names(base, others, folder)
    cross, kernel = Path(models[1]), Path(models[-1])
    if not cross.is_file():
        edited = base_forcefield(base, molecule, folder, charges).edit(propers="fourier4", cross=True)
        fit(edited, data.train, n_train=n_train, n_test=0, seed=seed, progress=progress).model.save(cross)
    if not kernel.is_file():
        sgdml.train_on(data, sigma=sigma, progress=progress).model.save(kernel)
    unseen, errors = data.test(), {}
    if len(unseen):
        for name in models:
            if not is_engine(name):
                found = energy_model(name, molecule, folder, charges=charges)
                errors[model_label(name)] = error_table(unseen, found.predict(unseen.positions))
    return Lineup(molecule, file, models, errors)


def _is_refinement(folder: Any) -> bool:
    try:
        return bool((folder / RESULT).is_file())
    except OSError:  # a long SMILES
        return False
