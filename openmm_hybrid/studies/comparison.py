"""Settings, molecule and models of the studies that compare energy models of one molecule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.studies.compared_model import ComparedModel
from openmm_hybrid.studies.dihedral_choice import with_turned_copies
from openmm_hybrid.studies.energy_models import energy_model
from openmm_hybrid.studies.study import JOB, claim, option, settings_as_dict
from openmm_hybrid.studies.subject import model_key, model_label, model_labels, study_molecule

Floats = NDArray[np.float64]

_SHAKE = 0.02  # Å, standard deviation of displacements that take a symmetric start off a saddle point


@dataclass(frozen=True)
class ComparisonSettings(ABC):
    """Settings of a comparison of models; see the help of each field.

    Raises
    ------
    InputError
        A model is named twice, the reference is not among the models, or a number is out of range.
    """

    molecule: str = option(help="SMILES, SDF, MOL2 or PDB file, folder of `build`, or folder of `refine`.")
    template: str = option("", help="SMILES that gives a PDB file its bond orders.")
    models: tuple[str, ...] = option(
        ("gaff-2.2.20", "gfn2"),
        help="Model: base force field, reference engine, model file, shipped force field or folder of `refine`.",
    )
    reference: str = option("", help="Model with which the others are compared; by default the last one.")
    charges: str = option("am1-bcc", help="Charges of base force fields.", metavar="<openmm_hybrid.charges:METHODS>")
    n_conformers: int = option(
        20, help="Number of embedded conformers; minima are searched from each, and from a copy with random dihedrals."
    )
    seed: int = option(0, help="Seed of the conformers.")

    def __post_init__(self) -> None:
        model_labels(self.models)
        if self.reference and self.reference not in self.models:
            raise InputError(
                f"the reference {self.reference} is not among the models", expected=f"one of {', '.join(self.models)}"
            )
        if self.n_conformers < 1 or self.seed < 0:
            raise InputError(
                f"n_conformers = {self.n_conformers}, seed = {self.seed}", expected="n_conformers ≥ 1 and seed ≥ 0"
            )

    @property
    @abstractmethod
    def free(self) -> tuple[str, ...]:
        """Names of the settings that may change when a study is resumed."""

    @property
    def reference_label(self) -> str:
        """Name of the reference in tables."""
        return model_label(self.reference or self.models[-1])


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """A molecule and the models that are compared.

    Parameters
    ----------
    molecule : Molecule
    starts : (n_starts, n_atoms, 3), Å
        See `molecule_and_starts`.
    models : tuple of ComparedModel
        The reference comes first.
    """

    molecule: Molecule
    starts: Floats = field(repr=False)
    models: tuple[ComparedModel, ...]


def molecule_and_starts(settings: ComparisonSettings) -> tuple[Molecule, Floats]:
    """The molecule of a study, and geometries (n_starts, n_atoms, 3), Å, from which minima are searched.

    They are embedded conformers, whose force field may lack minima that a model has, and copies of them with random
    dihedrals. All are slightly displaced, so that none is symmetric.

    Raises
    ------
    InputError
        The molecule cannot be read.
    """
    molecule = study_molecule(settings.molecule, settings.template)
    return molecule, shaken_conformers(molecule, settings.n_conformers, settings.seed)


def open_comparison(
    settings: ComparisonSettings, molecule: Molecule, starts: Floats, output: Path, what: str, *, progress: bool
) -> Comparison:
    """The models of a study in a folder, which is claimed for these settings.

    If the models are free settings, the folder of each model is claimed for it instead.

    Parameters
    ----------
    settings : ComparisonSettings
    molecule, starts
        See `molecule_and_starts`.
    output : Path
        Folder of the study.
    what : str
        Name of the study, for messages.
    progress : bool
        Whether relaxations show their progress.

    Raises
    ------
    InputError
        A model cannot be read.
    MismatchError
        A model is of another molecule, or the folder belongs to another job. Nothing has been written then.
    """
    labels = model_labels(settings.models)
    job = {"study": what} | settings_as_dict(settings, without=(*settings.free, "models", "reference"))
    job |= {"smiles": molecule.smiles, "atoms": fingerprint(molecule.atomic_numbers, molecule.bonds)}
    fixed = "models" not in settings.free
    if fixed:  # by their content, so that files and folders may move
        job |= {"models": {label: model_key(name) for label, name in labels.items()}}
        job |= {"reference": settings.reference_label}
    if (output / JOB).is_file():  # otherwise, a model that cannot be made must not claim the folder
        claim(output, job, what)
    models = []
    for label, name in labels.items():
        model = energy_model(name, molecule, output, charges=settings.charges)
        models.append(ComparedModel(label, model, molecule.bonds, output / label, progress))
    claim(output, job, what)
    if not fixed:
        for label, name in labels.items():
            claim(output / label, {"model": model_key(name)}, "model")
    models.sort(key=lambda model: model.label != settings.reference_label)
    return Comparison(molecule, starts, tuple(models))


def shaken_conformers(molecule: Molecule, n_conformers: int, seed: int) -> Floats:
    """Embedded conformers of a molecule and copies with random dihedrals (n, n_atoms, 3), Å, slightly displaced.

    Parameters
    ----------
    molecule : Molecule
    n_conformers : int
        Number of embedded conformers.
    seed : int
    """
    from rdkit import Chem

    shape = molecule.to_rdkit()
    if shape.GetNumConformers():
        Chem.AssignStereochemistryFrom3D(shape)
    shape.RemoveAllConformers()
    found = Molecule.from_rdkit(shape, name=molecule.name, n_conformers=n_conformers, seed=seed).conformers
    rng = np.random.default_rng(seed)
    starts = with_turned_copies(molecule, found, rng)
    return starts + rng.normal(scale=_SHAKE, size=starts.shape)
