"""One molecule of a refinement: its base force field, dynamics, labels and checks, in its folder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid import reference
from openmm_hybrid.bases.build import build
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.files import read_npy, replacing
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.reference import ReferenceEngine
from openmm_hybrid.refinement.checks import Candidate, Checker
from openmm_hybrid.refinement.outputs import with_forcefield
from openmm_hybrid.refinement.select import HOT, Pool, extended, farthest, intact, sampled
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.refinement.source import Source
from openmm_hybrid.refinement.torsion_profiles import Relaxation, rotors
from openmm_hybrid.systems.implicit_solvent import in_implicit_water

_PICOSECONDS, _EVERY = 5.0, 50  # length of the dynamics from each start, and steps between frames
_AGAIN = "remove it, and call refine again: it is made again"
_EACH = 4  # most frames of each angle of a scan


@final
@dataclass(frozen=True, eq=False)
class Member:
    """A molecule in its folder. Everything that takes long is kept in files there, and read in the next call.

    Parameters
    ----------
    source : Source
    folder : Path
    settings : RefineSettings
    engine : ReferenceEngine
    progress : bool
    """

    source: Source
    folder: Path
    settings: RefineSettings
    engine: ReferenceEngine
    progress: bool

    @property
    def molecule(self) -> Molecule:
        """The molecule of the source."""
        return self.source.molecule

    @cached_property
    def built(self) -> BuiltSystem:
        """The molecule with the base force field; its charges are kept in a file, since they can take long."""
        path = self.folder / "base" / "charges.npy"
        if not path.is_file():
            given = self.source.charges
            method = self.settings.charges if given is None else given
            first = build(self.molecule, base=self.settings.base, charges=method, progress=self.progress)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, first.charges, allow_pickle=False)
        charges = read_npy(path, hint=_AGAIN)  # rounding differs from the first ones: a resumed run needs these
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the notes on the molecule, a second time
            return build(self.molecule, base=self.settings.base, charges=charges, progress=False)

    @cached_property
    def base(self) -> ForceField:
        """The base force field. GAFF's types share parameters; OpenFF's are too coarse for cross terms."""
        types = {"types": self.built.atom_types} if self.settings.base.startswith("gaff") else {}
        return ForceField.from_system(self.built.system, self.built.topology, name=self.molecule.name, **types)

    @cached_property
    def starts(self) -> NDArray[np.float64]:
        """Conformers (n_starts, n_atoms, 3), Å: the given ones, or embedded ones after the first given one."""
        given, wanted = self.molecule.conformers, self.settings.n_conformers
        if len(given) >= wanted:
            return given[:wanted]
        bare = self.molecule.to_rdkit()
        bare.RemoveAllConformers()
        more = Molecule.from_rdkit(bare, n_conformers=wanted, seed=self.settings.seed).conformers
        return np.concatenate([given, more[: wanted - len(given)]])

    def _scans(self) -> NDArray[np.float64]:
        """Geometries (n_frames, n_atoms, 3), Å, of the rotors' scans with the base force field."""
        path, n_scan = self.folder / "base" / "scans.npy", self.settings.n_scan
        if not path.is_file():
            turning = rotors(self.molecule, self.starts) if n_scan else []
            most = self.settings.n_first // 2  # labels of scans
            turning = turning[: most // max(n_scan, 1)]
            n_each = min(_EACH, most // max(n_scan * len(turning), 1)) - 1
            relaxation = Relaxation(self.built.system, turning)
            found = [
                relaxation.around(rotor, self.starts[0], n_scan, n_each, self.settings.temperature) for rotor in turning
            ]
            scans = np.concatenate([self.starts[:0], *found])
            scans = scans[intact(scans, self.built.topology, self.starts)]
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, scans, allow_pickle=False)
        return read_npy(path, hint=_AGAIN)

    def first(self) -> NDArray[np.float64]:
        """The first geometries to label: scans, and frames of the base force field far from these and each other."""
        chosen, n_first = self._scans(), self.settings.n_first
        pool, hot = self.dynamics(0, self.built.system)
        chosen = extended(chosen, hot.positions, (n_first - len(chosen)) // 2)
        return extended(chosen, pool.positions, n_first - len(chosen))

    def dynamics(self, number: int, system: openmm.System) -> tuple[Pool, Pool]:
        """Dynamics from all starts, and from every second start at 1.5 times the temperature.

        They run in vacuum or implicit water.

        Raises
        ------
        NumericalError
            No frame of the first has intact bonds.
        """
        settings, folder = self.settings, self.folder / f"round-{number}"
        if settings.implicit_water:
            system = in_implicit_water(system, self.built.topology, self.built.charges)
        pool, hot = (
            sampled(
                system, self.built.topology, self.starts[::every], folder / name, duration=_PICOSECONDS,
                interval=_EVERY, temperature=times * settings.temperature, seed=settings.seed + number,
                progress=self.progress,
            )
            for name, every, times in (("dynamics", 1, 1.0), ("hot", 2, HOT))
        )  # fmt: skip
        if not len(pool.positions):
            raise NumericalError(
                f"no frame of the dynamics in {folder} has intact bonds", hint="lower the temperature, or raise n_first"
            )
        return pool, hot

    def system(self, model: ForceField) -> openmm.System:
        """The molecule in vacuum with a force field of a round."""
        return with_forcefield(self.built.system, self.built.topology, model)

    def labels(self, number: int, name: str, positions: NDArray[np.float64]) -> Frames:
        """Labelled frames of a round, without those that failed.

        Warns
        -----
        UserWarning
            A label failed.
        """
        result = reference.label(
            self.engine, self.molecule, positions, output=self.folder / f"round-{number}" / f"{name}.npz",
            progress=self.progress, order_known=True,
        )  # fmt: skip
        if result.failed:
            first, reason = next(iter(result.failed.items()))
            warnings.warn(f"{len(result.failed)} frames have no label; frame {first}: {reason}", stacklevel=5)
        return result.frames

    def fresh(self, number: int, pool: Pool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Random frames of a pool, and all others."""
        order = np.random.default_rng((self.settings.seed, number)).permutation(len(pool.positions))
        return order[: self.settings.n_fresh], order[self.settings.n_fresh :]

    def more(
        self, number: int, labels: Sequence[Frames], pools: Sequence[NDArray[np.float64]], checker: Checker
    ) -> list[Frames]:
        """The labels that a round adds: frames far from the labelled ones, and those of its checks.

        A file keeps them, so that a later call with another target continues with the rounds that there are.
        """
        path = self.folder / f"round-{number}" / "added.npz"
        if not path.is_file():
            found = checker.labels
            frames = np.concatenate([*pools, checker.hot_frames])
            known = np.concatenate([part.positions for part in (*labels, *found)])
            far = frames[farthest(frames, known, self.settings.n_more)]
            added = [*([self.labels(number, "more", far)] if len(far) else []), *found]
            if not added:
                return []
            Frames.concatenate(added).save(path)
        return [Frames.load(path)]

    def checker(self, number: int, model: ForceField) -> Checker:
        """The checks of the force field of a round."""
        return Checker(
            self.molecule, self.engine, self.built.topology, refined=Candidate(model, self.system(model)),
            base=Candidate(self.base, self.built.system), starts=self.starts, settings=self.settings,
            folder=self.folder / f"round-{number}" / "checks", progress=self.progress,
        )  # fmt: skip
