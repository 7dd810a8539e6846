"""What studies that compare energy models of one molecule share: settings, molecule, models, and kept relaxations."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.files import expanded, fingerprint, reading_npz, replacing, sha256
from openmm_hybrid.core.progress import progress_bar
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.held_dihedrals import HeldDihedral, Relaxed, keeps_bonds, relax_held
from openmm_hybrid.models.minima import Minimum, distinct
from openmm_hybrid.reference.engine_model import EngineModel
from openmm_hybrid.refinement.refined import CORRECTION, FORCEFIELD, LABELS, RESULT
from openmm_hybrid.refinement.source import read_source
from openmm_hybrid.studies.dihedral_choice import with_turned_copies
from openmm_hybrid.studies.energy_models import energy_model
from openmm_hybrid.studies.study import JOB, claim, option, settings_as_dict

Floats = NDArray[np.float64]

CONVERGED = 0.1
"""Largest remaining force of a minimum, kcal/mol/Å."""

_BATCH = 32  # geometries that share the calls of a model
_EVERY = 10.0  # most seconds between two writings of finished geometries
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
class ComparedModel:
    """A model in a comparison, with the geometries that it has relaxed so far.

    Parameters
    ----------
    label : str
        Name in tables and figures.
    model : EnergyModel
    bonds : (n_bonds, 2)
    folder : Path
        Folder for the relaxed geometries.
    progress : bool
        Whether to show the progress.
    """

    label: str
    model: EnergyModel = field(repr=False)
    bonds: NDArray[np.int64] = field(repr=False)
    folder: Path
    progress: bool = False

    def relaxed(
        self,
        stage: str,
        positions: Floats,
        held: Sequence[HeldDihedral] = (),
        angles: Floats | None = None,
        *,
        max_steps: int = 300,
    ) -> Relaxed:
        """Relaxed geometries, as of `relax_held`, which a file in the folder keeps.

        Every ten seconds the finished geometries are written. A later call with the same stage continues after them.

        Parameters
        ----------
        stage : str
            Stem of the file's name.
        positions : (n_frames, n_atoms, 3), Å
        held : sequence of HeldDihedral
        angles : (n_frames, n_held), rad, optional
            Needed for held dihedrals.
        max_steps : int
            0 evaluates the model at the given dihedrals.

        Raises
        ------
        InputError
            The file is damaged or of other geometries.
        """
        wanted = np.zeros((len(positions), 0)) if angles is None else angles
        path, parts = self.folder / f"{stage}.npz", []
        if path.is_file():
            parts.append(_read(path, positions.shape))
        batch = 1 if isinstance(self.model, EngineModel) else _BATCH
        done, written = sum(len(part.energies) for part in parts), time.monotonic()
        description = f"{self.label}: {stage}"
        unwritten, shown = False, self.progress and done < len(positions)
        with progress_bar(len(positions), description, "geometries", done=done, enabled=shown) as advance:
            try:
                while done < len(positions):
                    block = slice(done, min(done + batch, len(positions)))
                    parts.append(
                        relax_held(self.model, positions[block], held, wanted[block], self.bonds, max_steps=max_steps)
                    )
                    unwritten, done = True, block.stop
                    advance(block.stop - block.start)
                    if time.monotonic() - written > _EVERY:
                        _write(path, Relaxed.joined(parts))
                        unwritten, written = False, time.monotonic()
            finally:
                if unwritten:
                    _write(path, Relaxed.joined(parts))
        return Relaxed.joined(parts) if parts else Relaxed(positions, np.zeros(0), np.zeros(0), 0)

    def minima(self, found: Relaxed) -> list[Minimum]:
        """The distinct minima among relaxed geometries, the lowest first.

        Symmetry images and exchanges of equivalent atoms count as one. Geometries that are not converged, or whose
        bonds broke, are left out.

        Raises
        ------
        NumericalError
            None is left.
        """
        lengths = np.median(geometry.distance(found.positions, self.bonds), axis=0)
        good = np.isfinite(found.energies) & (found.forces < CONVERGED)
        good &= keeps_bonds(found.positions, self.bonds, lengths)
        if not good.any():
            raise NumericalError(f"{self.label} finds no minimum of the molecule", hint="leave this model out")
        pairs = zip(found.positions[good], found.energies[good].tolist(), strict=True)
        return distinct(pairs, lambda positions: np.sort(pdist(positions)))


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


def _write(path: Path, found: Relaxed) -> None:
    with replacing(path) as temporary:
        np.savez(
            temporary,
            allow_pickle=False,
            positions=found.positions,
            energies=found.energies,
            forces=found.forces,
            n_evaluations=found.n_evaluations,
        )


def _read(path: Path, shape: tuple[int, ...]) -> Relaxed:
    with reading_npz(path, "relaxed geometries", hint="remove this file: it is made again") as arrays:
        positions, energies, forces = (arrays[name] for name in ("positions", "energies", "forces"))
        n_evaluations = int(arrays["n_evaluations"])
    n = len(energies)
    if n > shape[0] or positions.shape != (n, *shape[1:]) or forces.shape != (n,) or energies.ndim != 1:
        raise InputError(f"{path} holds other geometries", hint="remove this file: it is made again")
    return Relaxed(positions, energies, forces, n_evaluations)
