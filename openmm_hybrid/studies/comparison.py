"""Settings, molecule and models of the studies that compare energy models of one molecule."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, fingerprint, sha256
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.refinement.refined import CORRECTION, FORCEFIELD, LABELS, RESULT
from openmm_hybrid.refinement.source import read_source
from openmm_hybrid.studies.compared_model import ComparedModel
from openmm_hybrid.studies.dihedral_choice import with_turned_copies
from openmm_hybrid.studies.energy_models import energy_model
from openmm_hybrid.studies.study import JOB, claim, option, settings_as_dict

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
    charges: str = option("am1-bcc", help="Method of the charges of base force fields.")
    n_conformers: int = option(
        20, help="Number of embedded conformers; minima are searched from each, and from a copy with random dihedrals."
    )
    seed: int = option(0, help="Seed of the conformers.")

    def __post_init__(self) -> None:
        labels = [label(name) for name in self.models]
        if not labels or len(set(labels)) < len(labels):
            raise InputError(
                f"the models are {', '.join(labels) or 'none'}", expected="one or more with different names"
            )
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
        return label(self.reference or self.models[-1])


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """A molecule and the models that are compared.

    Parameters
    ----------
    molecule : Molecule
    starts : (n_starts, n_atoms, 3), Å
        See `conformers`.
    models : tuple of ComparedModel
        The reference comes first.
    """

    molecule: Molecule
    starts: Floats = field(repr=False)
    models: tuple[ComparedModel, ...]


def conformers(settings: ComparisonSettings) -> tuple[Molecule, Floats]:
    """The molecule of a study, and geometries (n_starts, n_atoms, 3), Å, from which minima are searched.

    They are embedded conformers, whose force field may lack minima that a model has, and copies of them with random
    dihedrals. All are slightly displaced, so that none is symmetric.

    Raises
    ------
    InputError
        The molecule cannot be read.
    """
    molecule = compared_molecule(settings.molecule, settings.template)
    return molecule, _starts(molecule, settings.n_conformers, settings.seed)


def open_comparison(
    settings: ComparisonSettings, molecule: Molecule, starts: Floats, output: Path, what: str, *, progress: bool
) -> Comparison:
    """The models of a study in a folder, which is claimed for these settings.

    Parameters
    ----------
    settings : ComparisonSettings
    molecule, starts
        See `conformers`.
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
    job = {"study": what} | settings_as_dict(settings, without=settings.free)
    job |= {"smiles": molecule.smiles, "atoms": fingerprint(molecule.atomic_numbers, molecule.bonds)}
    job |= {"files": {name: sha256(path) for name in settings.models for path in _files(name)}}
    if (output / JOB).is_file():  # otherwise, a model that cannot be made must not claim the folder
        claim(output, job, what)
    models = []
    for name in settings.models:
        model = energy_model(name, molecule, output, charges=settings.charges)
        folder = output / re.sub(r"[^\w.+-]+", "_", label(name))
        models.append(ComparedModel(label(name), model, molecule.bonds, folder, progress))
    claim(output, job, what)
    models.sort(key=lambda model: model.label != settings.reference_label)
    return Comparison(molecule, starts, tuple(models))


def compared_molecule(source: str, template: str = "") -> Molecule:
    """The molecule of a study: from SMILES, a molecule file, or a folder of `build` or `refine`.

    Atoms of a folder of `refine` are in the order of its force field, with the geometry of its lowest label.

    Raises
    ------
    InputError
        It cannot be read.
    """
    folder = expanded(source)
    if len(source) < 1000 and (folder / RESULT).is_file() and (folder / LABELS).is_file():
        import json

        try:
            smiles = str(json.loads((folder / RESULT).read_text(encoding="utf-8"))["molecule"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise InputError(f"{folder / RESULT} is damaged ({error})", expected="a finished refinement") from None
        frames = Frames.load(folder / LABELS)
        lowest = frames.positions[int(np.argmin(frames.labels()[0]))]
        return Molecule.from_geometry(frames.atomic_numbers, lowest, name=folder.name, template=smiles)
    return read_source(source, template).molecule


def label(name: str) -> str:
    """Name of a model in tables: the stem of a file, the last part of a folder, otherwise the name itself."""
    path = Path(name)
    if path.suffix in (".npz", ".pt"):
        return path.stem
    return path.name if "/" in name and expanded(path).is_dir() else name


def _files(name: str) -> list[Path]:
    """Files that hold a model; none for a model that a name alone defines."""
    path = expanded(name)
    candidates = [path, path / FORCEFIELD, path / CORRECTION]
    return [candidate for candidate in candidates if candidate.is_file()]


def _starts(molecule: Molecule, n_conformers: int, seed: int) -> Floats:
    from rdkit import Chem

    shape = molecule.to_rdkit()
    if shape.GetNumConformers():
        Chem.AssignStereochemistryFrom3D(shape)
    shape.RemoveAllConformers()
    found = Molecule.from_rdkit(shape, name=molecule.name, n_conformers=n_conformers, seed=seed).conformers
    rng = np.random.default_rng(seed)
    starts = with_turned_copies(molecule, found, rng)
    return starts + rng.normal(scale=_SHAKE, size=starts.shape)
