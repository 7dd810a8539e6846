"""Spectra: vibrational densities of states at several temperatures, and how far their bands shift.

Sauceda, Gastegger, Chmiela, Müller, Tkatchenko, J. Chem. Phys. 153, 124109 (2020), Fig. 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.vibrations import infrared, vdos
from openmm_hybrid.charges import METHODS
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.files import fingerprint
from openmm_hybrid.core.same_job import lock_folder
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.studies.batched_dynamics import Batch, BatchPlan, run_batch
from openmm_hybrid.studies.energy_models import energy_model
from openmm_hybrid.studies.spectra_result import ModelSpectra, SpectraResult, TemperatureSpectra
from openmm_hybrid.studies.study import Study, claim, option, settings_as_dict
from openmm_hybrid.studies.subject import (
    Equilibrium,
    masses,
    model_key,
    model_labels,
    partial_charges,
    predictor,
    study_molecule,
)

_FRAME = 2.0  # longest time between two frames, fs: four frames per period at 4000 cm⁻¹
_FEWEST_FRAMES = 100
_FREE = ("molecule", "models", "temperatures", "smoothing", "gap", "margin", "marker")
"""Settings that may change between two calls for one folder: each run has its own file."""


@final
@dataclass(frozen=True)
class SpectraSettings:
    """Settings of the study spectra; see the help of each field.

    Raises
    ------
    InputError
        A number is out of range, or the temperatures do not rise.
    """

    molecule: str = option(help="SMILES, molecule file, or folder of `build` or `refine`.")
    models: tuple[str, ...] = option(
        ("gaff-2.2.20",), help="Base force field, reference engine, file of a model or folder of `refine`."
    )
    charges: str = option("am1-bcc", help="Charges of base force fields.", metavar="<openmm_hybrid.charges:METHODS>")
    temperatures: tuple[float, ...] = option((100.0, 200.0, 300.0, 400.0), help="Temperature, K, in rising order.")
    n_runs: int = option(16, help="Independent runs per temperature.")
    picoseconds: float = option(10.0, help="Length of each run at constant energy, ps.")
    equilibration: float = option(2.0, help="Length of the equilibration of each run, ps.")
    timestep: float = option(0.5, help="Time step, fs.")
    n_conformers: int = option(10, help="Conformers from which the lowest minimum is searched.")
    seed: int = option(0, help="Seed of conformers, velocities and the equilibration.")
    smoothing: float = option(5.0, help="Full width of a Gaussian that smooths the spectra, cm⁻¹; 0 for none.")
    gap: float = option(20.0, help="Least distance of the harmonic wavenumbers of two bands, cm⁻¹.")
    margin: float = option(100.0, help="Largest distance of a band's window from its harmonic wavenumbers, cm⁻¹.")
    marker: tuple[float, ...] = option((), help="Wavenumber of an experiment, drawn as a vertical line, cm⁻¹.")

    def __post_init__(self) -> None:
        numbers = settings_as_dict(self, without=("molecule", "models", "charges", "temperatures", "marker"))
        may_be_zero = ("equilibration", "seed", "smoothing")
        wrong = [
            f"{name} = {value}"
            for name, value in numbers.items()
            if not (value >= 0 if name in may_be_zero else value > 0) or not np.isfinite(value)
        ]
        if wrong:
            raise InputError(", ".join(wrong), expected=f"numbers above zero ({', '.join(may_be_zero)} may be zero)")
        if self.n_runs < 2:
            raise InputError(f"n_runs = {self.n_runs}", expected="2 or more, since errors come from independent runs")
        t = np.array(self.temperatures)
        if not len(t) or not np.isfinite(t).all() or not t[0] > 0 or (np.diff(t) <= 0).any():
            raise InputError(f"temperatures {self.temperatures}", expected="numbers above zero in rising order")
        if not self.timestep <= _FRAME or self._frames(self.picoseconds) < _FEWEST_FRAMES:
            raise InputError(
                f"{self.picoseconds:g} ps with a timestep of {self.timestep:g} fs",
                expected=f"a timestep of at most {_FRAME:g} fs, and {_FEWEST_FRAMES} frames of {_FRAME:g} fs or more",
            )
        METHODS.load(self.charges)
        model_labels(self.models)

    @property
    def stride(self) -> int:
        """Steps between two frames."""
        return int(_FRAME / self.timestep + 1e-9)

    def _frames(self, picoseconds: float) -> int:
        return round(1e3 * picoseconds / (self.stride * self.timestep))

    def plan(self, molecule: Molecule, minimum: Equilibrium, temperature: float) -> BatchPlan:
        """The runs at one temperature from a minimum.

        All temperatures have the same random numbers, so that their differences are more precise than their values.
        """
        linear = molecule.n_atoms > 2 and len(minimum.harmonic) == 3 * molecule.n_atoms - 5
        return BatchPlan(
            molecule.atomic_numbers, molecule.bonds, temperature, self.timestep, self.stride,
            self._frames(self.equilibration), 1, self._frames(self.picoseconds), self.n_runs, self.seed,
            constant_energy=True, origin=fingerprint(minimum.positions), linear=linear,
        )  # fmt: skip


@final
class SpectraStudy(Study):
    """Vibrational spectra of a molecule in several models at several temperatures.

    Each run starts from the model's lowest minimum, is equilibrated by Langevin dynamics, and then runs at constant
    energy without translation and rotation. Bands come from the harmonic frequencies of the minimum.
    """

    name = "spectra"
    summary = "Compute vibrational spectra of a molecule at several temperatures, and the shifts of their bands."
    Settings = SpectraSettings

    def run(self, settings: SpectraSettings, output: Path, *, progress: bool = True) -> SpectraResult:
        """See `Study.run`. Runs are in the folder's ``runs``, one file per model and temperature.

        Models and temperatures may be added later: what is there is not computed again.

        Raises
        ------
        InputError
            The settings, the molecule or a model cannot be used, or another process writes to the folder.
        MismatchError
            A model is of another molecule, or the folder belongs to a study of other settings.
        NumericalError
            There is no minimum, or half of the runs or more lost a bond.
        """
        molecule = study_molecule(settings.molecule)
        graph = fingerprint(molecule.smiles, molecule.atomic_numbers, molecule.bonds)
        claim(output, settings_as_dict(settings, without=_FREE) | {"molecule": graph}, "spectra study")
        with lock_folder(output):
            models = {}
            for label, name in model_labels(settings.models).items():  # all of them before the first run
                claim(output / "runs" / label, {"model": model_key(name)}, "model")
                models[label] = energy_model(name, molecule, output, charges=settings.charges)
            found = (
                _model_spectra(settings, molecule, label, model, output / "runs" / label, progress)
                for label, model in models.items()
            )
            return SpectraResult(molecule.name, tuple(found), settings.marker, settings_as_dict(settings))


def _model_spectra(
    settings: SpectraSettings, molecule: Molecule, label: str, model: EnergyModel, folder: Path, progress: bool
) -> ModelSpectra:
    predict, charges = predictor(model), partial_charges(model)
    minimum = Equilibrium.find(
        predict, molecule, folder / "minimum.npz", n_conformers=settings.n_conformers, seed=settings.seed
    )
    found = []
    for temperature in settings.temperatures:
        plan = settings.plan(molecule, minimum, temperature)
        path, description = folder / f"{temperature:g}K.npz", f"{label} at {temperature:g} K"
        found.append(run_batch(plan, predict, lambda: minimum.positions[None], path, description, progress=progress))
    kept = np.all([runs.kept for runs in found], axis=0)
    if kept.sum() < 2:
        raise NumericalError(
            f"{label}: {kept.sum()} of {len(kept)} runs keep all bonds at all temperatures",
            hint="leave out the highest",
        )
    spectra = tuple(
        _spectra(settings, minimum, masses(molecule), charges, temperature, runs.only(kept), int((~runs.kept).sum()))
        for temperature, runs in zip(settings.temperatures, found, strict=True)
    )
    return ModelSpectra(label, minimum.harmonic, spectra, settings.gap, settings.margin)


def _spectra(
    settings: SpectraSettings,
    minimum: Equilibrium,
    weights: NDArray[np.float64],
    charges: Sequence[float] | NDArray[np.float64] | None,
    temperature: float,
    runs: Batch,
    n_lost: int,
) -> TemperatureSpectra:
    n_modes, interval = len(minimum.harmonic), settings.stride * settings.timestep
    v, timestep, smoothing = runs.frames.astype(np.float64), settings.timestep, settings.smoothing
    return TemperatureSpectra(
        temperature,
        runs.temperature(n_modes),
        vdos(v, weights, interval, n_modes=n_modes, timestep=timestep, smoothing=smoothing),
        None
        if charges is None
        else infrared(v, charges, interval, temperature, timestep=timestep, smoothing=smoothing),
        runs.drift(interval),
        n_lost,
    )
