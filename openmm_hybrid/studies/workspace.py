"""The sampling study's settings, and a folder with everything that is made of one molecule's frames."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import gaff, sgdml
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import read_npy, replacing
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sampling.sample import sample
from openmm_hybrid.sampling.sample_result import SampleResult
from openmm_hybrid.studies.study import claim, frames_as_dict, option, read_indices, settings_as_dict
from openmm_hybrid.studies.torsion_pair import MOLECULES, TorsionPair, chosen_pair, torsion_pair

_ANY = ("dihedral", "local", "template")  # settings of molecules that are not known by their names
PotentialName = Literal["reference", "gaff", "gaff-am1bcc", "cross", "global", "local-forces", "local", "distilled"]
_FREE = ("potentials", "duration", "searches")  # settings that may change between two runs in one folder


@final
@dataclass(frozen=True)
class SamplingSettings:
    """Settings of the sampling study; see the help of each field.

    Raises
    ------
    InputError
        There are too few starts to tell an ensemble from its noise, or a number is not above zero.
    """

    frames: Path = option(help="Labelled frames for training the reference (npz, xyz, h5).")
    molecule: str = option(
        "aspirin", help=f"Molecule in the frames: {', '.join(MOLECULES)}, or any other name.", metavar="NAME"
    )
    potentials: tuple[PotentialName, ...] = option(
        ("gaff-am1bcc", "cross", "global", "local-forces", "local", "distilled"),
        help="Potential to compare with the reference, in addition to plain GAFF.",
    )
    temperature: float = option(500.0, help="Temperature, K.")
    ladder: tuple[float, ...] = option(
        (), help="Higher temperature for replica exchange, K. Each start then gets one replica per temperature."
    )
    starts: int = option(32, help="Independent starts per potential.")
    duration: float = option(125.0, help="Length of each start, ps.")
    training_duration: float = option(
        30.0, help="Length of each start in the separate runs that corrections are trained on, ps."
    )
    equilibration: float = option(5.0, help="Time at the beginning of each start that is left out, ps.")
    timestep: float = option(1.0, help="Time step, fs.")
    interval: int = option(100, help="Steps between frames, and between exchange attempts.")
    n_train: int = option(950, help="Frames for training; the others test the potentials.")
    n_fit: int = option(1000, help="Sampled frames for training the global and local corrections of GAFF.")
    searches: int = option(48, help="Frames of the reference from which minima are searched.")
    charges: str = option("resp", help="Charges of GAFF.", metavar="<openmm_hybrid.charges:METHODS>")
    dihedral: tuple[str, ...] = option(
        (),
        help="Four atoms of a dihedral, such as 0-1-2-3, counted as in the frames; give two. By default those known for"
        " the molecule, or its rotors.",
    )
    local: tuple[int, ...] = option(
        (),
        help="Atoms of the local correction, such as 0-8,12; by default those around the two dihedrals.",
        parse=read_indices,
        metavar="ATOMS",
    )
    template: str = option("", help="SMILES that gives the atoms of the frames their bond orders and charges.")

    def __post_init__(self) -> None:
        if self.starts < 4:
            raise InputError(f"starts = {self.starts}", expected="4 or more, since halves of them are compared")
        numbers = {
            name: value
            for name, value in settings_as_dict(self).items()
            if isinstance(value, int | float) and name != "equilibration"
        }
        wrong = [f"{name} = {value}" for name, value in numbers.items() if not value > 0]
        if wrong:
            raise InputError(", ".join(wrong), expected="numbers above zero")
        if any(warmer <= colder for colder, warmer in pairwise((self.temperature, *self.ladder))):
            raise InputError(f"the ladder is {self.ladder}", expected=f"rising numbers above {self.temperature:g} K")
        if not self.label:
            raise InputError(f"the molecule is {self.molecule!r}", expected="a name")

    @property
    def label(self) -> str:
        """The molecule's name as files have it."""
        return re.sub(r"[^\w.+-]+", "_", self.molecule).strip("_.")

    @property
    def job(self) -> dict[str, Any]:
        """The settings as JSON holds them, without paths; those of any molecule only where they are given."""
        return settings_as_dict(self, without=("frames", *(name for name in _ANY if not getattr(self, name))))


@final
@dataclass(frozen=True, eq=False)
class Workspace:
    """A molecule with its reference frames and GAFF, and a folder for models and runs. `open_workspace` makes it.

    Parameters
    ----------
    molecule : Molecule
        Its atoms are in the order of the frames.
    frames : Frames
        Distinct labelled geometries.
    pair : TorsionPair
    settings : SamplingSettings
    folder : Path
    progress : bool
        Show the progress.
    """

    molecule: Molecule
    frames: Frames
    pair: TorsionPair
    settings: SamplingSettings
    folder: Path
    progress: bool = True

    @cached_property
    def built(self) -> gaff.BuiltSystem:
        """GAFF 1.81 with the charges of the settings, which are computed once."""
        return self.gaff_with(self.settings.charges)

    def gaff_with(self, method: str) -> gaff.BuiltSystem:
        """GAFF 1.81 with the charges of a method, which are computed once."""
        path = self.folder / f"{method}.npy"
        if not path.is_file():
            charges = gaff.assign_charges(self.molecule, method, progress=self.progress)
            with replacing(path) as temporary:
                np.save(temporary, charges)
        return gaff.build(self.molecule, version="1.81", charges=read_npy(path, hint="remove it: it is made again"))

    @cached_property
    def forcefield(self) -> ForceField:
        """GAFF as a force field with parameters, which terms of equal GAFF types share."""
        system, types = self.built.system, self.built.atom_types
        return ForceField.from_system(system, self.built.topology, types=types, name=self.molecule.name)

    @cached_property
    def data(self) -> sgdml.TrainingSet:
        """The training frames, and in `test` the frames that no model is trained on."""
        return sgdml.training_set(self.frames, n_train=self.settings.n_train, molecule=self.molecule)

    def model_file(self, name: str, make: Callable[[Path], object]) -> Path:
        """The file of a model. If it does not exist, `make` is called with its path and writes it."""
        path = self.folder / "models" / f"{name}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
        return path

    def starts(self, *, training: bool = False) -> NDArray[np.float64]:
        """Starting geometries (n_starts, n_atoms, 3), Å, from the labelled frames."""
        rng = np.random.default_rng(1 if training else 0)
        return self.frames.positions[rng.choice(len(self.frames), self.settings.starts, replace=False)]

    def sampled(
        self,
        system: Any,
        models: tuple[EnergyModel, ...],
        output: Path,
        starts: NDArray[np.float64],
        duration: float,
    ) -> SampleResult:
        """Run the settings' dynamics; a run that exists is opened, or resumed.

        Parameters
        ----------
        system : openmm.System
        models : tuple of EnergyModel
            Models added to the System.
        output : Path
            Folder of the run.
        starts : (n_starts, n_atoms, 3), Å
        duration : float, ps
            Length of each start.

        Returns
        -------
        SampleResult
            The starts at the settings' temperature; the other replicas of an exchange are left out.
        """
        settings = self.settings
        rungs = (settings.temperature, *settings.ladder)
        together = len(rungs) > 1 or any(not isinstance(model, ForceField) for model in models)
        run = sample(
            system,
            self.built.topology,
            np.repeat(starts, len(rungs), axis=0),
            models=models,
            replicas=len(rungs) * len(starts) if together else 1,
            exchange=settings.interval if settings.ladder else None,
            output=output,
            duration=duration,
            temperature=np.tile(rungs, len(starts)),
            timestep=settings.timestep,
            interval=settings.interval,
            equilibration=round(1e3 * settings.equilibration / settings.timestep),
            minimize=False,
            progress=self.progress,
        )
        return run.at(settings.temperature)


def open_workspace(settings: SamplingSettings, folder: Path, *, progress: bool = True) -> Workspace:
    """The workspace of a study in a folder: distinct frames, and the molecule perceived in the lowest one.

    Raises
    ------
    MismatchError
        The folder belongs to other frames or settings. Runs may get longer and searches more.
    InputError
        There are fewer frames than starts, the bonds cannot be found, or the dihedrals or atoms do not exist.
    """
    frames = Frames.load(settings.frames).unique()
    lowest: NDArray[np.float64] = frames.positions[int(np.argmin(frames.labels()[0]))]
    if len(frames) < settings.starts:
        raise InputError(f"{settings.frames} has {len(frames)} distinct frames", expected=f"{settings.starts} or more")
    molecule = Molecule.from_geometry(frames.atomic_numbers, lowest, name=settings.molecule, template=settings.template)
    pair = _pair(settings, molecule, frames)
    job = {name: value for name, value in settings.job.items() if name not in _FREE}
    claim(folder, job | frames_as_dict(frames), "sampling study")
    return Workspace(molecule, frames, pair, settings, folder, progress)


def _pair(settings: SamplingSettings, molecule: Molecule, frames: Frames) -> TorsionPair:
    """The dihedrals of the settings; without any, those known for the molecule, or its rotors."""
    if settings.molecule in MOLECULES and not settings.dihedral and not settings.local:
        return torsion_pair(settings.molecule)
    dihedral = settings.dihedral
    if settings.molecule in MOLECULES and not dihedral:
        known = torsion_pair(settings.molecule).dihedral_atoms(molecule)
        dihedral = tuple("-".join(map(str, atoms)) for atoms in known)
    return chosen_pair(molecule, frames.positions, dihedral, settings.local)
