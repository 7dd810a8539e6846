"""Checks of a refined force field: torsion profiles, minima, and a long run at high temperature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar, final

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app
from scipy.spatial.distance import pdist

from openmm_hybrid import reference
from openmm_hybrid.core.errors import InputError, MismatchError, NumericalError
from openmm_hybrid.core.files import read_json, reading_npz, replacing
from openmm_hybrid.core.result_document import write_json
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.minima import minima
from openmm_hybrid.models.normal_modes import displaced, frequencies, hessian
from openmm_hybrid.reference import ReferenceEngine
from openmm_hybrid.refinement.check_results import Checks, FrequencyCheck, HotRun, MinimaCheck, Rotor, RotorProfile
from openmm_hybrid.refinement.select import HOT, Pool, intact, sampled
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.refinement.torsion_profiles import Relaxation, grid, rotors

Floats = NDArray[np.float64]
T = TypeVar("T")

_EVERY = 100  # steps between frames of the run at high temperature
_LEAST = 3  # angles that make a profile
_HIGH = 60.0  # energy above which a frame does not train, kcal/mol; forces there would outweigh all others
_MINIMA = "minima.npz"  # labels of the minima
_AGAIN = "remove it, and call refine again: it is made again"
_SCAN = "-scan"  # ending of the names of files of geometries


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
            kept = kept_checks(path, wanted)
            if kept is not None:
                return kept
        problems: list[str] = []
        found = _tried(self._minima, "the minima", problems)
        chosen = self._rotors[: settings.n_rotors]
        made = [_tried(partial(self._profile, rotor), f"the profile of {rotor.name}", problems) for rotor in chosen]
        profiles = tuple(filter(None, made))
        run = _tried(self._hot_run, "the run at high temperature", problems) if settings.hot_ps else None
        left_out = tuple(rotor.name for rotor in self._rotors[settings.n_rotors :])
        checks = Checks(profiles, left_out, found, run, tuple(problems))
        if not problems:  # otherwise the next call tries again
            write_json(path, {"settings": wanted, "checks": checks.as_dict()})
        return checks

    def frequencies(self) -> FrequencyCheck:
        """Harmonic frequencies at the lowest minimum, from labels of 6 geometries for each atom.

        Raises
        ------
        NumericalError
            There is no minimum, or a label failed.
        """
        start, numbers = self._geometries()[0], self.molecule.atomic_numbers
        result = reference.label(
            self.engine, self.molecule, displaced(start), output=self.folder / "frequencies.npz",
            progress=self.progress, order_known=True,
        )  # fmt: skip
        if result.failed:
            raise NumericalError(f"{len(result.failed)} labels of the frequencies failed")
        nearby = self._base.minimum(start)
        refined = self.refined.model.predict(displaced(start))[1]
        base = self.base.model.predict(displaced(nearby))[1]
        found = ((result.frames.labels()[1], start), (refined, start), (base, nearby))
        modes = (frequencies(hessian(forces), numbers, positions) for forces, positions in found)
        return FrequencyCheck(*(tuple(values.tolist()) for values in modes))

    @property
    def labels(self) -> list[Frames]:
        """The labelled minima and frames of profiles, at most 60 kcal/mol above the lowest one of each file."""
        found = []
        for path in (self.folder / _MINIMA, *sorted(self._profiles.glob("rotor-*.npz"))):
            if path.is_file() and not path.stem.endswith(_SCAN):
                frames = Frames.load(path)
                energies = frames.labels()[0]
                found.append(frames[np.flatnonzero(energies <= energies.min() + _HIGH)])
        return found

    @property
    def hot_frames(self) -> Floats:
        """Frames (n_frames, n_atoms, 3) with intact bonds of the run at high temperature, Å; none before `run`."""
        return self._hot.positions if self._hot_folder.is_dir() else self.starts[:0]

    @property
    def _profiles(self) -> Path:
        return self.folder / f"profiles-{self.settings.n_profile}"

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

        positions = kept_arrays(self.folder / "minima-geometries.npz", found)["positions"]
        positions = positions[intact(positions, self.topology, self.starts)]
        if not len(positions):
            raise NumericalError("no conformer relaxes to a minimum with intact bonds")
        return positions

    def _minima(self) -> MinimaCheck:
        labels = reference.label(
            self.engine, self.molecule, self._geometries(), output=self.folder / _MINIMA, progress=self.progress,
            order_known=True,
        ).frames  # fmt: skip
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

        scan = kept_arrays(self._profiles / f"{name}{_SCAN}.npz", scanned)
        if len(scan["angles"]) < _LEAST:
            raise NumericalError("the scan found no geometries with intact bonds")
        result = reference.label(
            self.engine, self.molecule, scan["positions"], output=self._profiles / f"{name}.npz",
            progress=self.progress, order_known=True,
        )  # fmt: skip
        chosen = result.indices
        if len(chosen) < _LEAST:
            raise NumericalError(f"{len(result.failed)} of {len(scan['angles'])} labels failed")
        truth = result.frames.labels()[0]
        return RotorProfile.of(rotor, scan["angles"][chosen], truth, scan["refined"][chosen], scan["base"][chosen])

    @property
    def _hot_folder(self) -> Path:
        return self.folder / f"hot-{self.settings.hot_ps:g}ps"

    @cached_property
    def _hot(self) -> Pool:
        return sampled(
            self.refined.system, self.topology, self.starts[:1], self._hot_folder, duration=self.settings.hot_ps,
            interval=_EVERY, temperature=HOT * self.settings.temperature, seed=self.settings.seed,
            progress=self.progress,
        )  # fmt: skip

    def _hot_run(self) -> HotRun:
        settings, pool = self.settings, self._hot
        n_frames = len(pool.positions) + pool.n_broken
        return HotRun(HOT * settings.temperature, settings.hot_ps, n_frames, pool.n_broken, pool.failure)


def _tried(part: Callable[[], T], name: str, problems: list[str]) -> T | None:
    """The result of a check; if it cannot be made, the reason is added to `problems`."""
    try:
        return part()
    except (InputError, MismatchError, NumericalError) as error:
        problems.append(f"{name} could not be checked ({str(error).rstrip('.')})")
        return None


def kept_checks(path: Path, wanted: dict[str, object]) -> Checks | None:
    """The checks in a file; None if they are of other settings.

    Raises
    ------
    InputError
        The file is damaged.
    """
    expected = "the checks of a refinement"
    content = read_json(path, expected=expected, hint=_AGAIN)
    try:
        return Checks.from_dict(content["checks"]) if content["settings"] == wanted else None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error})", expected=expected, hint=_AGAIN) from error


def kept_arrays(path: Path, make: Callable[[], dict[str, Floats]]) -> dict[str, Floats]:
    """Arrays from a file, or made and written there."""
    if not path.is_file():
        arrays = make()
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
    with reading_npz(path, "geometries of a check", hint=_AGAIN) as content:
        return {name: content[name] for name in content}
