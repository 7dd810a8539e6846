"""Checks of a refined force field: torsion profiles, minima, and a long run at high temperature."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app
from scipy.spatial.distance import pdist

from openmm_hybrid import reference
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.files import replacing
from openmm_hybrid.core.result_document import write_json
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.minima import minima
from openmm_hybrid.reference import ReferenceEngine
from openmm_hybrid.refinement.select import intact
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.refinement.torsion_profiles import (
    Relaxation,
    Rotor,
    RotorProfile,
    grid,
    rotors,
)
from openmm_hybrid.sampling.sample import sample
from openmm_hybrid.sampling.sample_result import SampleResult

Floats = NDArray[np.float64]
T = TypeVar("T")

LARGEST_TORSION = 1.0
"""RMS deviation of a torsion profile from the reference above which the check fails, kcal/mol. Our choice."""

HOT = 1.5
"""Temperature of the long run, relative to that of the other dynamics."""

_TIMESTEP, _EVERY, _SETTLE = 1.0, 100, 1000  # fs, steps between frames, and steps before the first one
_LEAST = 3  # angles that make a profile


@final
@dataclass(frozen=True)
class MinimaCheck:
    """Reference labels at the minima of the refined force field.

    Energies are in kcal/mol. The lowest reference energy is zero, and the energies of the force fields are shifted so
    that their mean is that of the reference.

    Parameters
    ----------
    reference, refined, base : (n_minima,)
        Energies at the minima of the refined force field, in the order of its energies.
    forces : (n_minima,), kcal/mol/Å
        RMS force component of the reference at each minimum.
    """

    reference: tuple[float, ...]
    refined: tuple[float, ...]
    base: tuple[float, ...]
    forces: tuple[float, ...]

    @classmethod
    def of(cls, reference: Floats, refined: Floats, base: Floats, forces: Floats) -> MinimaCheck:
        """The check from energies (n_minima,) on scales of their own and reference forces (n_minima, n_atoms, 3)."""
        truth = reference - reference.min()
        shifted = [energies - (energies - truth).mean() for energies in (refined, base)]
        sizes = np.sqrt(np.mean(forces**2, axis=(1, 2)))
        return cls(*(tuple(part.tolist()) for part in (truth, *shifted, sizes)))

    @property
    def rms(self) -> float:
        """RMS deviation of the refined force field's relative energies."""
        return float(np.sqrt(np.mean(np.subtract(self.refined, self.reference) ** 2)))

    @property
    def base_rms(self) -> float:
        """RMS deviation of the base force field's relative energies."""
        return float(np.sqrt(np.mean(np.subtract(self.base, self.reference) ** 2)))

    @property
    def force(self) -> float:
        """RMS force component of the reference over all minima, kcal/mol/Å."""
        return float(np.sqrt(np.mean(np.square(self.forces))))

    @property
    def n_swapped(self) -> int:
        """Number of pairs of minima whose order of energies differs from that of the reference."""
        first, second = np.triu_indices(len(self.reference), k=1)
        changes = [np.array(part)[first] - np.array(part)[second] for part in (self.reference, self.refined)]
        return int((changes[0] * changes[1] < 0.0).sum())


@final
@dataclass(frozen=True)
class HotRun:
    """A long run at high temperature.

    Parameters
    ----------
    temperature : float, K
    picoseconds : float, ps
    n_frames : int
    n_broken : int
        Frames with a broken bond.
    failure : str
        The error that ended the run early, or an empty text.
    """

    temperature: float
    picoseconds: float
    n_frames: int
    n_broken: int
    failure: str = ""


@final
@dataclass(frozen=True)
class Checks:
    """Checks of a refined force field against its reference method.

    Parameters
    ----------
    profiles : tuple of RotorProfile
    left_out : tuple of str
        Bonds of the rotors without a profile, such as "C3–N7".
    minima : MinimaCheck, optional
    hot_run : HotRun, optional
    problems : tuple of str
        Checks that could not be made, with their reasons.
    """

    profiles: tuple[RotorProfile, ...] = ()
    left_out: tuple[str, ...] = ()
    minima: MinimaCheck | None = None
    hot_run: HotRun | None = None
    problems: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """Checks that failed, in words."""
        found = list(self.problems)
        run = self.hot_run
        if run and run.n_broken:
            found.append(f"{run.n_broken} of {run.n_frames} frames at {run.temperature:g} K have a broken bond")
        if run and run.failure:
            reason = run.failure.rstrip(".")
            found.append(f"the run at {run.temperature:g} K failed after {run.n_frames} frames ({reason})")
        false = [
            f"{entry.name} {entry.false_minimum:.1f} kcal/mol below the true one"
            for entry in self.profiles
            if entry.false_minimum
        ]
        if false:
            found.append(f"torsion profiles have false minima ({', '.join(false)})")
        wrong = [f"{entry.name} {entry.rms:.1f}" for entry in self.profiles if entry.rms > LARGEST_TORSION]
        if wrong:
            found.append(
                f"torsion profiles deviate by more than {LARGEST_TORSION:g} kcal/mol from the reference "
                f"({', '.join(wrong)})"
            )
        return tuple(found)

    def verdict(self, text: str) -> str:
        """A verdict with the failed checks before it, or with the passed ones after it."""
        if self.failures:
            return f"Failed checks: {'; '.join(self.failures)}. {text}"
        passed = []
        if self.profiles:
            worst = max(entry.rms for entry in self.profiles)
            passed.append(f"torsion profiles within {worst:.2f} kcal/mol RMS of the reference")
        if self.hot_run:
            passed.append(f"no broken bond in {self.hot_run.picoseconds:g} ps at {self.hot_run.temperature:g} K")
        return f"{text} Checks passed: {'; '.join(passed)}." if passed else text

    def as_dict(self) -> dict[str, Any]:
        """All fields, deviations and failures, for JSON."""
        found = self.minima
        derived = {"rms": found.rms, "base_rms": found.base_rms, "force": found.force} if found else {}
        return {
            "failures": list(self.failures),
            "profiles": [entry.as_dict() for entry in self.profiles],
            "left_out": list(self.left_out),
            "minima": asdict(found) | derived | {"n_swapped": found.n_swapped} if found else None,
            "hot_run": asdict(self.hot_run) if self.hot_run else None,
            "problems": list(self.problems),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Checks:
        """The checks that `as_dict` wrote.

        Raises
        ------
        LookupError, TypeError, ValueError
            The content is something else.
        """
        found, run = content["minima"], content["hot_run"]
        parts = ("reference", "refined", "base", "forces")
        return cls(
            profiles=tuple(map(RotorProfile.from_dict, content["profiles"])),
            left_out=tuple(content["left_out"]),
            minima=MinimaCheck(**{name: tuple(found[name]) for name in parts}) if found else None,
            hot_run=HotRun(**run) if run else None,
            problems=tuple(content["problems"]),
        )


@final
@dataclass(frozen=True, eq=False)
class Candidate:
    """A force field and the System of the molecule in vacuum with it."""

    model: ForceField
    system: openmm.System


@final
@dataclass(frozen=True, eq=False)
class Checker:
    """The checks of one force field in a folder; everything that takes long is kept in files there.

    Parameters
    ----------
    molecule : Molecule
    engine : ReferenceEngine
    topology : openmm.app.Topology
    refined, base : Candidate
    starts : (n_starts, n_atoms, 3), Å
    settings : RefineSettings
    folder : Path
    progress : bool
    """

    molecule: Molecule
    engine: ReferenceEngine
    topology: app.Topology
    refined: Candidate
    base: Candidate
    starts: Floats
    settings: RefineSettings
    folder: Path
    progress: bool

    def run(self) -> Checks:
        """All checks that the settings ask for. One that cannot be made is among the `problems` of the result."""
        settings = self.settings
        wanted = {name: getattr(settings, name) for name in ("n_profile", "n_rotors", "hot_ps")}
        path = self.folder / "checks.json"
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["settings"] == wanted:
                return Checks.from_dict(content["checks"])
        problems: list[str] = []
        found = _tried(self._minima, "the minima", problems)
        profiles = [
            _tried(partial(self._profile, rotor), f"the profile of {rotor.name}", problems)
            for rotor in self._rotors[: settings.n_rotors]
        ]
        run = _tried(self._hot_run, "the run at high temperature", problems) if settings.hot_ps else None
        left_out = tuple(rotor.name for rotor in self._rotors[settings.n_rotors :])
        checks = Checks(tuple(filter(None, profiles)), left_out, found, run, tuple(problems))
        if not problems:  # otherwise the next call tries again
            write_json(path, {"settings": wanted, "checks": checks.as_dict()})
        return checks

    @cached_property
    def _rotors(self) -> list[Rotor]:
        return rotors(self.molecule, self.starts) if self.settings.n_profile else []

    @cached_property
    def _refined(self) -> Relaxation:
        return Relaxation(self.refined.system, self._rotors)

    @cached_property
    def _base(self) -> Relaxation:
        return Relaxation(self.base.system, self._rotors)

    def _geometries(self) -> Floats:
        """Distinct minima (n_minima, n_atoms, 3) of the refined force field, Å; the lowest comes first."""

        def found() -> dict[str, Floats]:
            relaxed = []
            for start in self.starts:
                try:
                    relaxed.append(self._refined.minimum(start))
                except (InputError, NumericalError):
                    continue
            distinct = minima(self.refined.model, relaxed, lambda positions: np.sort(pdist(positions)))
            return {
                "positions": np.array([entry.positions for entry in distinct]).reshape(-1, self.molecule.n_atoms, 3)
            }

        positions = _kept(self.folder / "minima-geometries.npz", found)["positions"]
        positions = positions[intact(positions, self.topology, self.starts)]
        if not len(positions):
            raise NumericalError("no conformer relaxes to a minimum with intact bonds")
        return positions

    def _minima(self) -> MinimaCheck:
        labels = self._labels("minima", self._geometries())
        energies, forces = labels.labels()
        predicted = [candidate.model.predict(labels.positions)[0] for candidate in (self.refined, self.base)]
        return MinimaCheck.of(energies, predicted[0], predicted[1], forces)

    def _profile(self, rotor: Rotor) -> RotorProfile:
        """The relaxed scan with the refined force field, with reference labels at its geometries.

        The base force field relaxes each of these geometries with the same dihedral. At the geometries themselves its
        energies would contain the strain of bonds and angles that have other lengths in the refined force field, which
        is no property of the rotation.
        """
        name, angles = f"rotor-{rotor.atoms[1]}-{rotor.atoms[2]}", grid(self.settings.n_profile)
        within = self.folder / f"profiles-{self.settings.n_profile}"

        def scanned() -> dict[str, Floats]:
            start = self._geometries()[0]
            positions, energies = self._refined.scan(rotor, start, len(angles))
            good = np.isfinite(energies) & intact(positions, self.topology, self.starts)
            other = np.full(len(angles), np.inf)
            other[good] = self._base.energies(rotor, positions[good], angles[good])
            good &= np.isfinite(other)
            return {
                "angles": np.degrees(angles[good]),
                "positions": positions[good],
                "refined": energies[good],
                "base": other[good],
            }

        scan = _kept(within / f"{name}-scan.npz", scanned)
        if len(scan["angles"]) < _LEAST:
            raise NumericalError("the scan found no geometries with intact bonds")
        result = reference.label(
            self.engine, self.molecule, scan["positions"], output=within / f"{name}.npz", progress=self.progress
        )
        chosen = result.indices
        if len(chosen) < _LEAST:
            raise NumericalError(f"{len(result.failed)} of {len(scan['angles'])} labels failed")
        truth = result.frames.labels()[0]
        return RotorProfile.of(rotor, scan["angles"][chosen], truth, scan["refined"][chosen], scan["base"][chosen])

    def _hot_run(self) -> HotRun:
        settings, failure = self.settings, ""
        temperature, folder = HOT * settings.temperature, self.folder / f"hot-{settings.hot_ps:g}ps"
        try:
            result = sample(
                self.refined.system, self.topology, self.starts[0], output=folder, duration=settings.hot_ps,
                temperature=temperature, timestep=_TIMESTEP, interval=_EVERY, equilibration=_SETTLE,
                seed=settings.seed, progress=self.progress,
            )  # fmt: skip
        except NumericalError as error:
            failure = str(error)
            if not any(folder.glob("trajectory_0.*")):  # it failed before the first frame
                return HotRun(temperature, settings.hot_ps, 0, 0, failure)
            result = SampleResult.open(folder)
        positions = result.starts[0].positions.astype(np.float64)
        n_broken = int((~intact(positions, self.topology, self.starts)).sum())
        return HotRun(temperature, settings.hot_ps, len(positions), n_broken, failure)

    def _labels(self, name: str, positions: Floats) -> Frames:
        return reference.label(
            self.engine, self.molecule, positions, output=self.folder / f"{name}.npz", progress=self.progress
        ).frames


def _tried(part: Callable[[], T], name: str, problems: list[str]) -> T | None:
    """The result of a check; if it cannot be made, the reason is added to `problems`."""
    try:
        return part()
    except (InputError, MismatchError, NumericalError) as error:
        problems.append(f"{name} could not be checked ({str(error).rstrip('.')})")
        return None


def _kept(path: Path, make: Callable[[], dict[str, Floats]]) -> dict[str, Floats]:
    """Arrays from a file, or made and written there."""
    if not path.is_file():
        arrays = make()
        with replacing(path) as temporary:
            np.savez(temporary, allow_pickle=False, **arrays)
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}
