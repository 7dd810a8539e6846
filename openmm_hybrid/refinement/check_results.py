"""Results of the checks of a refined force field: torsion profiles, minima, and a long run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

WINDOW = 15.0
"""Reference energy above the lowest one up to which the angles of a profile are compared, kcal/mol. Our choice."""

LARGEST_TORSION = 1.0
"""RMS deviation of a torsion profile from the reference above which the check fails, kcal/mol. Our choice."""


@final
@dataclass(frozen=True)
class Rotor:
    """A bond that can rotate.

    Parameters
    ----------
    atoms : (int, int, int, int)
        Indices of the atoms of its dihedral; the bond is between the second and the third.
    moved : tuple of int
        Indices of the atoms that turn with the fourth atom.
    name : str
        The two atoms of the bond, such as "C3–N7".
    """

    atoms: tuple[int, int, int, int]
    moved: tuple[int, ...]
    name: str


@final
@dataclass(frozen=True)
class RotorProfile:
    """Energies along the rotation about one bond, kcal/mol.

    The lowest reference energy is zero. The other energies are shifted so that their mean over the compared angles is
    that of the reference. An angle is compared if its reference energy is below `WINDOW`.

    Parameters
    ----------
    name : str
        The two atoms of the bond, such as "C3–N7".
    atoms : (int, int, int, int)
        Indices of the atoms of the dihedral.
    angles : (n_angles,), degrees
        Dihedrals with energies of all three methods, ascending.
    reference, refined, base : (n_angles,)
        Energies of the reference method, the refined and the base force field.
    """

    name: str
    atoms: tuple[int, ...]
    angles: tuple[float, ...]
    reference: tuple[float, ...]
    refined: tuple[float, ...]
    base: tuple[float, ...]

    @classmethod
    def of(
        cls, rotor: Rotor, angles: ArrayLike, reference: ArrayLike, refined: ArrayLike, base: ArrayLike
    ) -> RotorProfile:
        """The profile from energies (n_angles,) on scales of their own."""
        truth = np.asarray(reference, dtype=np.float64) - np.min(reference)
        compared = truth <= WINDOW
        shifted = []
        for energies in (np.asarray(refined, dtype=np.float64), np.asarray(base, dtype=np.float64)):
            shifted.append(energies - (energies - truth)[compared].mean())
        numbers = (tuple(np.asarray(part, dtype=np.float64).tolist()) for part in (angles, truth, *shifted))
        return cls(rotor.name, rotor.atoms, *numbers)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> RotorProfile:
        """The profile that `as_dict` wrote."""
        parts = {name: tuple(entry[name]) for name in ("atoms", "angles", "reference", "refined", "base")}
        return cls(name=str(entry["name"]), **parts)

    def as_dict(self) -> dict[str, Any]:
        """All fields and the deviations, for JSON."""
        return asdict(self) | {
            "rms": self.rms,
            "largest": self.largest,
            "base_rms": self.base_rms,
            "base_largest": self.base_largest,
            "false_minimum": self.false_minimum,
        }

    @property
    def rms(self) -> float:
        """RMS deviation of the refined force field from the reference."""
        return float(np.sqrt(np.mean(self._errors(self.refined) ** 2)))

    @property
    def largest(self) -> float:
        """Largest deviation of the refined force field from the reference."""
        return float(np.abs(self._errors(self.refined)).max())

    @property
    def base_rms(self) -> float:
        """RMS deviation of the base force field from the reference."""
        return float(np.sqrt(np.mean(self._errors(self.base) ** 2)))

    @property
    def base_largest(self) -> float:
        """Largest deviation of the base force field from the reference."""
        return float(np.abs(self._errors(self.base)).max())

    @property
    def false_minimum(self) -> float:
        """Depth of a minimum that only the refined force field has; 0 without one.

        It is how far the refined energy at an angle that is not compared, where the reference is high, lies below the
        lowest one at the compared angles. A simulation that gets there stays.
        """
        compared = np.array(self.reference) <= WINDOW
        energies = np.array(self.refined)
        return float(max(0.0, energies[compared].min() - energies[~compared].min(initial=np.inf)))

    @property
    def wrong(self) -> bool:
        """Whether the refined force field is far from the reference or has a false minimum."""
        return self.rms > LARGEST_TORSION or self.false_minimum > 0.0

    def _errors(self, energies: Sequence[float]) -> Floats:
        truth = np.array(self.reference)
        return np.asarray((np.array(energies) - truth)[truth <= WINDOW])


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
        return _rms(self.refined, self.reference)

    @property
    def base_rms(self) -> float:
        """RMS deviation of the base force field's relative energies."""
        return _rms(self.base, self.reference)

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
class FrequencyCheck:
    """Harmonic frequencies at the lowest minimum of the refined force field, cm⁻¹, ascending.

    Those of the reference and the refined force field are at the same geometry, so that they differ by the second
    derivatives alone; those of the base force field are at its own minimum nearby. Imaginary ones are negative.

    Parameters
    ----------
    reference, refined, base : (n_modes,)
    """

    reference: tuple[float, ...]
    refined: tuple[float, ...]
    base: tuple[float, ...]

    @property
    def rms(self) -> float:
        """RMS deviation of the refined force field from the reference."""
        return _rms(self.refined, self.reference)

    @property
    def base_rms(self) -> float:
        """RMS deviation of the base force field from the reference."""
        return _rms(self.base, self.reference)

    @property
    def largest(self) -> float:
        """Largest deviation of the refined force field from the reference."""
        return float(np.abs(np.subtract(self.refined, self.reference)).max())


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
    frequencies : FrequencyCheck, optional
    """

    profiles: tuple[RotorProfile, ...] = ()
    left_out: tuple[str, ...] = ()
    minima: MinimaCheck | None = None
    hot_run: HotRun | None = None
    problems: tuple[str, ...] = ()
    frequencies: FrequencyCheck | None = None

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
            "frequencies": self._frequencies(),
        }

    def _frequencies(self) -> dict[str, Any] | None:
        found = self.frequencies
        return asdict(found) | {"rms": found.rms, "base_rms": found.base_rms} if found else None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Checks:
        """The checks that `as_dict` wrote.

        Raises
        ------
        LookupError, TypeError, ValueError
            The content is something else.
        """
        found, run = content["minima"], content["hot_run"]
        modes = content.get("frequencies")
        methods = ("reference", "refined", "base")
        return cls(
            profiles=tuple(map(RotorProfile.from_dict, content["profiles"])),
            left_out=tuple(content["left_out"]),
            minima=MinimaCheck(**{name: tuple(found[name]) for name in (*methods, "forces")}) if found else None,
            hot_run=HotRun(**run) if run else None,
            problems=tuple(content["problems"]),
            frequencies=FrequencyCheck(*(tuple(modes[name]) for name in methods)) if modes else None,
        )


def _rms(values: Sequence[float], reference: Sequence[float]) -> float:
    """RMS deviation of values from those of the reference."""
    return float(np.sqrt(np.mean(np.subtract(values, reference) ** 2)))
