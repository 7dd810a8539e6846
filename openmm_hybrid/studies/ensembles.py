"""Ensembles: thermal ensembles of several models of a molecule, each from dynamics of its own.

Sauceda, Gastegger, Chmiela, Müller, Tkatchenko, J. Chem. Phys. 153, 124109 (2020), Figs. 7 and 9.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import analysis
from openmm_hybrid.analysis import Density, PairDensities
from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.studies.batched_dynamics import UNIT, Batch, BatchPlan, run_batch
from openmm_hybrid.studies.compared_model import ComparedModel
from openmm_hybrid.studies.comparison import (
    ComparisonSettings,
    molecule_and_starts,
    open_comparison,
    shaken_conformers,
)
from openmm_hybrid.studies.dihedral_choice import dihedral_name, measured_dihedrals
from openmm_hybrid.studies.ensemble_coordinates import EnsembleCoordinates, SharedWells
from openmm_hybrid.studies.ensembles_result import Ensembles, ModelEnsemble
from openmm_hybrid.studies.study import Study, option, settings_as_dict
from openmm_hybrid.studies.subject import intact, predictor

Floats = NDArray[np.float64]

_FEWEST_STARTS = 4  # starts, whose halves are compared
_FEWEST_FRAMES = 8  # frames of a start, for block errors
_MOST_MODELS = 8  # panels and colours of a figure
_BELOW = 3.0  # free energy of the reference up to which surfaces are compared, kcal/mol
_SPLITS, _BOOTSTRAP = 100, 100  # random splits and resamplings of the starts
_MARGIN = 0.5  # Å beyond the largest distance, for smoothing


@final
@dataclass(frozen=True)
class EnsemblesSettings(ComparisonSettings):
    """Settings of the study ensembles; see the help of each field.

    Raises
    ------
    InputError
        A number is out of range, or there are more than 8 models.
    """

    n_conformers: int = option(
        16, help="Number of embedded conformers; starts are some of these and of copies with random dihedrals."
    )
    seed: int = option(0, help="Seed; each model has starts and velocities of its own.")
    dihedral: tuple[str, ...] = option(
        (), help="Four atoms of a dihedral, such as 0-1-2-3; give two or one, or none for the rotors of the molecule."
    )
    temperature: float = option(500.0, help="Temperature, K.")
    starts: int = option(16, help="Independent starts of each model.")
    duration: float = option(20.0, help="Length of each start after its equilibration, ps.")
    equilibration: float = option(2.0, help="Time at the beginning of each start that is left out, ps.")
    timestep: float = option(1.0, help="Time step, fs.")
    interval: int = option(50, help=f"Steps between frames, a multiple of {UNIT}.")

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = ("temperature", "duration", "timestep", "interval")
        wrong = [
            f"{name} = {value}"
            for name in (*positive, "equilibration")
            if not np.isfinite(value := getattr(self, name)) or value < 0 or (name in positive and value == 0)
        ]
        if wrong:
            raise InputError(", ".join(wrong), expected="numbers above zero (equilibration may be zero)")
        if self.starts < _FEWEST_STARTS:
            raise InputError(
                f"starts = {self.starts}", expected=f"{_FEWEST_STARTS} or more, since halves of them are compared"
            )
        if self.interval % UNIT:
            raise InputError(f"interval = {self.interval}", expected=f"a multiple of {UNIT} steps")
        if self.n_frames < _FEWEST_FRAMES:
            raise InputError(
                f"{self.n_frames} frames of {self.interval} steps in {self.duration:g} ps",
                expected=f"{_FEWEST_FRAMES} or more",
                hint="make the runs longer or the interval shorter",
            )
        if len(self.models) > _MOST_MODELS:
            raise InputError(f"{len(self.models)} models", expected=f"{_MOST_MODELS} at most")

    @property
    def free(self) -> tuple[str, ...]:
        """See `ComparisonSettings.free`. Models may be added; the runs do not depend on dihedrals."""
        return ("molecule", "template", "models", "reference", "dihedral")

    @property
    def n_frames(self) -> int:
        """Frames of each start."""
        return round(1e3 * self.duration / (self.interval * self.timestep))

    def plan(self, molecule: Molecule, seed: int) -> BatchPlan:
        """The dynamics of a model."""
        equilibration = round(1e3 * self.equilibration / (UNIT * self.timestep))
        return BatchPlan(
            molecule.atomic_numbers, molecule.bonds, self.temperature, self.timestep, UNIT, equilibration,
            self.interval // UNIT, self.n_frames, self.starts, seed,
        )  # fmt: skip


@final
class EnsemblesStudy(Study):
    """Compares thermal ensembles of several models with that of a reference.

    The ensembles share nothing: each model, the reference too, has dynamics of its own from starts of its own.
    """

    name = "ensembles"
    summary = "Compare thermal ensembles of several models, each from its own dynamics, with that of a reference."
    Settings = EnsemblesSettings

    def run(self, settings: EnsemblesSettings, output: Path, *, progress: bool = True) -> Ensembles:
        """See `Study.run`.

        The folder of each model gets its starts and its dynamics. Models may be added or left out later.

        Raises
        ------
        InputError
            The settings, the molecule or a model cannot be used, or another process writes to the folder.
        MismatchError
            A model is of another molecule, or the folder belongs to other settings.
        NumericalError
            More than half of a model's starts lost a bond, or fewer than 4 kept all.
        """
        molecule, starts = molecule_and_starts(settings)
        dihedrals = measured_dihedrals(molecule, starts, settings.dihedral)
        coordinates = EnsembleCoordinates.of(molecule, starts, dihedrals)
        comparison = open_comparison(settings, molecule, starts, output, "ensembles study", progress=progress)
        with lock_folder(output):
            sampled = {model.label: _sampled(settings, molecule, model) for model in comparison.models}
        densities = _densities(coordinates, sampled)
        found = tuple(_ensemble(settings, coordinates, sampled, densities, label) for label in sampled)
        return Ensembles(
            molecule.name,
            molecule.smiles,
            tuple(dihedral_name(molecule, atoms) for atoms in dihedrals),
            {name: len(pairs) for name, pairs in coordinates.pairs.items()},
            found,
            settings_as_dict(settings),
        )


@final
@dataclass(frozen=True, eq=False)
class _Sampled:
    """The starts of a model that kept all bonds.

    Parameters
    ----------
    batch : Batch
    n_lost : int
        Starts that lost a bond, which are left out.
    n_unrelaxed : int
        Geometries that did not relax to an intact one, in whose place other starts serve.
    """

    batch: Batch = field(repr=False)
    n_lost: int
    n_unrelaxed: int

    @property
    def frames(self) -> Floats:
        """Positions (n_starts, n_frames, n_atoms, 3), Å."""
        return self.batch.frames.astype(np.float64)


@final
@dataclass(frozen=True, eq=False)
class _Densities:
    """Densities of all models.

    Parameters
    ----------
    dihedrals : dict of str to list of Density
        One density for each start; no entries for a molecule without dihedrals.
    pairs : dict of str to PairDensities
        No entries for a molecule without pairs.
    wells : SharedWells or None
        Wells of the reference.
    """

    dihedrals: dict[str, list[Density]]
    pairs: dict[str, PairDensities]
    wells: SharedWells | None


def _sampled(settings: EnsemblesSettings, molecule: Molecule, model: ComparedModel) -> _Sampled:
    # By its name, so that a model has the same runs whatever other models there are.
    seeds = np.random.SeedSequence([settings.seed, zlib.crc32(model.label.encode())])
    seed = int(seeds.generate_state(1)[0] >> 1)
    candidates = shaken_conformers(molecule, settings.n_conformers, seed)
    chosen = np.random.default_rng(seed).permutation(candidates)[: settings.starts]
    found = model.relaxed("starts", chosen)
    pairs = zip(found.positions, chosen, strict=True)
    whole = np.array([intact(relaxed[None], start, molecule.bonds)[0] for relaxed, start in pairs])
    good = np.isfinite(found.energies) & whole
    if not good.any():
        raise NumericalError(
            f"{model.label}: none of {len(good)} starts relaxes to a geometry with intact bonds",
            hint="leave this model out",
        )
    batch = run_batch(
        settings.plan(molecule, seed),
        predictor(model.model),
        lambda: found.positions[good],
        model.folder / "dynamics.npz",
        f"{model.label}: dynamics",
        progress=model.progress,
    )
    if batch.kept.sum() < _FEWEST_STARTS:
        raise NumericalError(
            f"{model.label}: {batch.kept.sum()} of {len(batch.kept)} starts kept all bonds",
            expected=f"{_FEWEST_STARTS} or more",
            hint="leave this model out, or lower the temperature",
        )
    return _Sampled(batch.only(batch.kept), int((~batch.kept).sum()), int((~good).sum()))


def _densities(coordinates: EnsembleCoordinates, sampled: Mapping[str, _Sampled]) -> _Densities:
    dihedrals: dict[str, list[Density]] = {}
    wells, pairs = None, {}
    if coordinates.n_dihedrals:
        dihedrals = {
            label: [coordinates.density(run) for run in one.frames] for label, one in sampled.items()
        }  # the first is the reference
        reference = next(iter(sampled.values())).frames
        whole = _mean(next(iter(dihedrals.values())))
        angles = coordinates.angles(reference.reshape(-1, *reference.shape[2:]))
        wells = SharedWells.of(whole, angles)
    if coordinates.pairs:
        every = np.concatenate(list(coordinates.pairs.values()))
        longest = max(float(geometry.distance(run, every).max()) for one in sampled.values() for run in one.frames)
        pairs = {
            label: analysis.pair_densities(one.frames, coordinates.pairs, longest=longest + _MARGIN)
            for label, one in sampled.items()
        }
    return _Densities(dihedrals, pairs, wells)


def _ensemble(
    settings: EnsemblesSettings,
    coordinates: EnsembleCoordinates,
    sampled: Mapping[str, _Sampled],
    densities: _Densities,
    label: str,
) -> ModelEnsemble:
    """An ensemble with its differences from the reference."""
    one, reference = sampled[label], next(iter(sampled))
    density = divergence = surface = dependence = None
    populations = {}
    if densities.wells is not None:
        starts, wells = densities.dihedrals[label], densities.wells
        density = _mean(starts)
        if label != reference:
            truth = densities.dihedrals[reference]
            measures = analysis.jensen_shannon, analysis.free_energy_difference(settings.temperature, _BELOW)
            divergence, surface = (
                analysis.excess(starts, truth, measure, n_splits=_SPLITS, n_bootstrap=_BOOTSTRAP)
                for measure in measures
            )
        occupied = np.array([wells.labels(coordinates.angles(run)[0]) for run in one.frames])
        populations = {name: analysis.mean_with_error(occupied == number) for number, name in enumerate(wells.names)}
        began = wells.labels(coordinates.angles(one.batch.starts)[0])
        first = began == np.bincount(began).argmax()
        if min(first.sum(), (~first).sum()) > 1:
            dependence = analysis.start_dependence(starts, first, analysis.jensen_shannon)
    overlaps: tuple[analysis.PairOverlap, ...] = ()
    if densities.pairs and label != reference:
        overlaps = analysis.pair_overlaps(densities.pairs[label], densities.pairs[reference])
    return ModelEnsemble(
        name=label,
        n_starts=len(one.batch.kept),
        n_lost=one.n_lost,
        n_unrelaxed=one.n_unrelaxed,
        temperature=one.batch.temperature(3 * one.batch.starts.shape[1]),
        density=density,
        divergence=divergence,
        surface=surface,
        populations=populations,
        dependence=dependence,
        overlaps=overlaps,
        distances=densities.pairs.get(label),
    )


def _mean(starts: list[Density]) -> Density:
    """Density of all starts."""
    return Density(starts[0].grid, np.mean([density.values for density in starts], axis=0))
