"""The potentials whose ensembles the sampling study compares, each made from what came before it."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import correction, gaff, sgdml
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.core.result_document import write_json
from openmm_hybrid.correction import Gated
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.fitting import fit
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sampling.sample import sample
from openmm_hybrid.sampling.sample_result import SampleResult
from openmm_hybrid.studies.conformations import Conformations
from openmm_hybrid.systems.replace import replace

SIGMA = 1.0
"""Length of the reference's kernel, 1/Å: short, as for any correction."""

_FADES = 0.3
"""Width of the gate of models of all atoms. It begins at the largest leave-one-out distance of the training frames."""

_RESTRAINT = 0.01  # of the refitted force field, (kcal/mol/Å)²


@final
@dataclass(frozen=True)
class Settings:
    """How much of everything.

    Parameters
    ----------
    n_train : int
        Frames that models are trained on; the others test them.
    n_fit : int
        Of the frames of the training runs, those that corrections of GAFF by kernel models are trained on.
    starts : int
        Independent starts of each ensemble, stepped together where the potential is a kernel model.
    duration : float, ps
        Of each start.
    training_duration : float, ps
        Of each start of the runs that corrections are trained on, which are none of those compared.
    equilibration : float, ps
        Of each start, left out.
    temperature : float, K
    ladder : tuple of float, K
        Rising temperatures above it. Each start is then as many replicas more, which exchange temperatures with it
        and are not compared: for barriers that it does not cross alone.
    timestep : float, fs
    interval : int
        Steps between frames, and between exchanges.
    searches : int
        Frames of the reference that minima are sought from.
    charges : str
        Of GAFF, a name of `openmm_hybrid.gaff.assign_charges`.

    Raises
    ------
    InputError
        Too few starts to tell an ensemble from its noise, or a number that is not above zero.
    """

    n_train: int = 950
    n_fit: int = 1000
    starts: int = 32
    duration: float = 125.0
    training_duration: float = 30.0
    equilibration: float = 5.0
    temperature: float = 500.0
    ladder: tuple[float, ...] = ()
    timestep: float = 1.0
    interval: int = 100
    searches: int = 48
    charges: str = "resp"

    def __post_init__(self) -> None:
        if self.starts < 4:
            raise InputError(f"{self.starts} starts", expected="4 or more, since halves of them are compared")
        others = ("charges", "equilibration", "ladder")
        numbers = {name: value for name, value in asdict(self).items() if name not in others}
        wrong = [f"{name} = {value}" for name, value in numbers.items() if not value > 0]
        if wrong:
            raise InputError(", ".join(wrong), expected="numbers above zero")
        if any(warmer <= colder for colder, warmer in pairwise((self.temperature, *self.ladder))):
            raise InputError(f"the ladder is {self.ladder}", expected=f"rising numbers above {self.temperature:g} K")


@final
@dataclass(frozen=True, eq=False)
class Potential:
    """What is sampled: OpenMM's forces and the models added to them, and all of it as a model.

    Parameters
    ----------
    system : openmm.System
    models : tuple of EnergyModel
    whole : EnergyModel
        The energy of both together.
    """

    system: Any = field(repr=False)
    models: tuple[EnergyModel, ...]
    whole: EnergyModel


@final
@dataclass(frozen=True, eq=False)
class Bench:
    """A molecule with its reference frames and GAFF, and a folder for what is made of them.

    Parameters
    ----------
    molecule : Molecule
        Atoms in the frames' order.
    frames : Frames
        Distinct geometries with labels.
    case : Conformations
    settings : Settings
    folder : Path
    progress : bool
        Show progress.
    """

    molecule: Molecule
    frames: Frames
    case: Conformations
    settings: Settings
    folder: Path
    progress: bool = True

    @cached_property
    def built(self) -> gaff.GaffSystem:
        """GAFF 1.81 with the charges of the settings, which are computed once."""
        return self.gaff_with(self.settings.charges)

    def gaff_with(self, method: str) -> gaff.GaffSystem:
        """GAFF 1.81 with charges of a method, which are computed once."""
        path = self.folder / f"{method}.npy"
        if not path.is_file():
            charges = gaff.assign_charges(self.molecule, method)
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                np.save(temporary, charges)
        return gaff.build(self.molecule, version="1.81", charges=np.load(path, allow_pickle=False))

    @cached_property
    def forcefield(self) -> ForceField:
        """GAFF's tables."""
        return ForceField.from_system(self.built.system, self.built.topology, name=self.molecule.name)

    @cached_property
    def data(self) -> sgdml.TrainingSet:
        """What models of labels are trained on, and in its `test` the frames that they are not."""
        return sgdml.training_set(self.frames, n_train=self.settings.n_train, molecule=self.molecule)

    def training_frames(self, name: str) -> Frames:
        """Frames of a run of a potential that nothing is compared with."""
        return Frames(self.molecule.atomic_numbers, self.run(name, training=True).positions, name=self.molecule.name)

    @cached_property
    def mixed_frames(self) -> Frames:
        """As many frames of GAFF's ensemble as of the reference's, in random order, to be labelled by the reference.

        The free energy that a force field misses lies between its mean energy in the force field's ensemble and that
        in the reference's (Gibbs-Bogoliubov); their average is right to second order, as a trapezoid of thermodynamic
        integration.
        """
        rng = np.random.default_rng(0)
        half = self.settings.n_fit // 2
        ensembles = map(self.training_frames, ("gaff", "reference"))
        parts = [each[rng.choice(len(each), min(half, len(each)), replace=False)] for each in ensembles]
        return Frames.concatenate(parts)[rng.permutation(sum(map(len, parts)))]

    def potential(self, name: str) -> Potential:
        """One of `POTENTIALS`."""
        return POTENTIALS[name](self)

    def kept(self, name: str, make: Callable[[Path], object]) -> Path:
        """The file of a model; where there is none, `make` writes it to the path that it is given."""
        path = self.folder / "models" / f"{name}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
        return path

    def starts(self, *, training: bool = False) -> NDArray[np.float64]:
        """Where runs begin (n_starts, n_atoms, 3), Å: frames of the labels."""
        rng = np.random.default_rng(1 if training else 0)
        return self.frames.positions[rng.choice(len(self.frames), self.settings.starts, replace=False)]

    def run(self, name: str, *, training: bool = False) -> SampleResult:
        """The dynamics of a potential; a run that is there is not made again."""
        settings, potential = self.settings, self.potential(name)
        return self.sampled(
            potential.system,
            potential.models,
            self.folder / "runs" / (f"{name}-training" if training else name),
            self.starts(training=training),
            settings.training_duration if training else settings.duration,
        )

    def sampled(
        self,
        system: Any,
        models: tuple[EnergyModel, ...],
        output: Path,
        starts: NDArray[np.float64],
        duration: float,
    ) -> SampleResult:
        """Dynamics as the settings say: of an OpenMM System with models, from `starts`, `duration` ps each.

        Of replicas that exchange temperatures, those at the settings' temperature.
        """
        settings = self.settings
        rungs = (settings.temperature, *settings.ladder)
        together = len(rungs) > 1 or any(_is_kernel(model) for model in models)
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


def _is_kernel(model: EnergyModel) -> bool:
    return not isinstance(model, ForceField)


def _reference(bench: Bench) -> Potential:
    """sGDML of what refitted GAFF with cross terms leaves of the labels, gated: where the frames end the force field
    goes on. sGDML alone left them at 500 K, aspirin's after 24 ps, and fell apart."""

    def make(path: Path) -> None:
        base, train = bench.potential("cross").whole, bench.data.train
        model = correction.train(base, train, sigma=SIGMA, n_valid=0, molecule=bench.molecule, progress=bench.progress)
        distances = sgdml.uncertainty(cast(sgdml.SGDMLModel, model.model)).left_out
        lower = math.ceil(10.0 * distances.max()) / 10.0
        model.gated(train, lower=lower, upper=round(lower + _FADES, 1)).save(path)

    return _corrected(bench, bench.potential("cross"), bench.kept("reference", make))


def _gaff(bench: Bench) -> Potential:
    return Potential(bench.built.system, (), bench.forcefield)


def _am1bcc(bench: Bench) -> Potential:
    built = bench.gaff_with("am1-bcc")
    return Potential(built.system, (), ForceField.from_system(built.system, built.topology))


def _cross(bench: Bench) -> Potential:
    """GAFF refitted with cross terms."""

    def make(path: Path) -> None:
        edited, train = bench.forcefield.edit(propers="fourier4", cross=True), bench.data.train
        found = fit(edited, train, n_train=len(train), n_test=0, restraint=_RESTRAINT, progress=bench.progress)
        found.model.save(path)

    model = ForceField.load(bench.kept("cross", make))
    system = copy.deepcopy(bench.built.system)
    replace(system, bench.built.topology, model)
    return Potential(system, (), model)


def _global(bench: Bench) -> Potential:
    """sGDML of all atoms over GAFF, trained on the reference's potential, which labels frames of both ensembles."""

    def make(path: Path) -> None:
        frames, reference = bench.mixed_frames, bench.potential("reference")
        model = correction.train(
            bench.forcefield,
            frames,
            reference=reference.whole,
            n_valid=0,
            molecule=bench.molecule,
            progress=bench.progress,
        )
        gate = cast(Gated, reference.models[-1])
        model.gated(frames, lower=gate.lower, upper=gate.upper).save(path)

    return _corrected(bench, _gaff(bench), bench.kept("global", make))


def _local_forces(bench: Bench) -> Potential:
    """sGDML of few atoms, trained on the reference's potential, which labels frames of both ensembles."""

    def make(path: Path) -> None:
        frames = bench.mixed_frames
        found = correction.train_local(
            bench.forcefield,
            frames,
            bench.case.local_atoms(bench.molecule),
            molecule=bench.molecule,
            reference=bench.potential("reference").whole,
            progress=bench.progress,
        )
        found.gated(frames).save(path)

    return _corrected(bench, _gaff(bench), bench.kept("local-forces", make))


def _local(bench: Bench) -> Potential:
    """The same and the two dihedrals' free energy that it misses: between basins the forces on few atoms, which the
    others scatter, add up to an energy that is uncertain by more than kT. The dihedrals are of the same atoms, or of
    ones that symmetry makes equal to them."""
    path = bench.kept("local-populations", partial(_match, bench, "local-forces"))
    return _corrected(bench, bench.potential("local-forces"), path)


def _distilled(bench: Bench) -> Potential:
    """The two dihedrals' free energy that GAFF misses."""
    return _corrected(bench, _gaff(bench), bench.kept("distilled", partial(_match, bench, "gaff")))


def _match(bench: Bench, own: str, path: Path) -> None:
    """Write what a potential's training run misses of the dihedrals' free energy."""
    found = correction.match_populations(
        bench.training_frames(own),
        bench.training_frames("reference"),
        [bench.case.dihedral_atoms(bench.molecule)],
        temperature=bench.settings.temperature,
        molecule=bench.molecule,
    )
    found.save(path)


def _corrected(bench: Bench, base: Potential, path: Path) -> Potential:
    placed = correction.load(path).in_molecule()
    return Potential(base.system, (*base.models, placed), Sum((base.whole, placed)))


POTENTIALS: dict[str, Callable[[Bench], Potential]] = {
    "reference": _reference,
    "gaff": _gaff,
    "gaff-am1bcc": _am1bcc,
    "cross": _cross,
    "global": _global,
    "local-forces": _local_forces,
    "local": _local,
    "distilled": _distilled,
}
"""Name → what is sampled."""


def bench_of(
    frames: Frames, case: Conformations, name: str, settings: Settings, folder: Path, *, progress: bool = True
) -> Bench:
    """The bench of labelled frames: duplicates out, the molecule seen in the lowest frame.

    Raises
    ------
    MismatchError
        The folder holds models of other frames or settings; runs may get longer, and searches more.
    """
    distinct = frames.unique()
    lowest: NDArray[np.float64] = distinct.positions[int(np.argmin(distinct.labels()[0]))]
    molecule = Molecule.from_geometry(distinct.atomic_numbers, lowest, name=name)
    job = asdict(settings) | {"molecule": name, "frames": hashlib.md5(distinct.positions.tobytes()).hexdigest()}
    for free in ("duration", "searches"):
        del job[free]
    job["ladder"] = list(settings.ladder)
    path = folder / "settings.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != job:
        raise MismatchError(f"{folder} holds a study of other frames or settings", hint="give another folder")
    write_json(path, job)
    return Bench(molecule, distinct, case, settings, folder, progress)
