"""Refinement of a base force field for one molecule: the public function `refine`."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_hybrid import reference
from openmm_hybrid.analysis.error_table import ErrorTable, error_table
from openmm_hybrid.bases.build import build
from openmm_hybrid.bases.system import BuiltSystem
from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.files import expanded, replacing
from openmm_hybrid.core.result_document import versions, write_json
from openmm_hybrid.core.same_job import ignored, lock_folder, note_job
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.fitting.fit import fit
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.reference import ReferenceEngine
from openmm_hybrid.refinement.checks import Candidate, Checker
from openmm_hybrid.refinement.correct import Corrector, write_correction
from openmm_hybrid.refinement.outputs import with_forcefield, write_systems
from openmm_hybrid.refinement.refined import FORCEFIELD, LABELS, RESULT, CorrectionErrors, Refined, Round
from openmm_hybrid.refinement.report import write
from openmm_hybrid.refinement.select import HOT, Pool, extended, farthest, intact, sampled
from openmm_hybrid.refinement.settings import RefineSettings
from openmm_hybrid.refinement.source import Source, read_source
from openmm_hybrid.refinement.torsion_profiles import Relaxation, rotors

_EACH = 4  # most frames of each angle of a scan
_LEFT_OUT = 8  # one of this many labelled frames tests the fit
_FREE = ("rounds", "factor", "target", "max_minutes", "max_labels", "hot_ps", "solvate", "correct")
"""Settings that change no round: when the rounds end, and what follows."""


def refine(
    molecule: Any,
    output: str | Path,
    settings: RefineSettings | None = None,
    *,
    template: str = "",
    engine: ReferenceEngine | None = None,
    progress: bool = True,
) -> Refined:
    """Make a force field for a molecule: GAFF's or OpenFF's terms with cross terms, fitted to reference labels.

    The base force field runs dynamics from several conformers and turns each rotor. Frames far from each other are
    labelled and a force field is fitted. Each round then runs dynamics of the fitted force field, labels random frames
    of these and compares the error there with that on unseen training frames. The rounds end when the error on the own
    dynamics is within `factor` of the other and below `target`, and the torsion profiles agree with the reference.
    Otherwise these frames, those farthest from all others, and those of wrong profiles are added, and the next round
    fits again. The force field of the result is one whose dynamics were checked.

    Every label, run and fit is stored as soon as it is finished; the same call resumes after a stop. A call with
    another factor, target, budget, box of water or `correct` continues from there.

    Parameters
    ----------
    molecule : Molecule, openff.toolkit.Molecule, or str or Path
        A SMILES, an SDF, MOL, MOL2 or PDB file, or a folder of `openmm-hybrid build`. Base force field and charges of
        such a folder, and partial charges of an OpenFF molecule, are used; the settings may not name others.
    output : path
        Folder for the result (see `Refined`).
    settings : RefineSettings, optional
    template : str
        SMILES whose bond orders and charges the molecule of a file gets, for PDB files, which have none.
    engine : ReferenceEngine, optional
        Engine of the labels, in place of the name in the settings.
    progress : bool

    Raises
    ------
    InputError
        The molecule cannot be read or built, or the engine refuses it.
    MismatchError
        The folder belongs to another molecule or other settings, the template is another molecule, or the settings
        name another base force field or other charges than those that come with the molecule.
    NumericalError
        No frame could be labelled, or the dynamics lost all bonds.
    HybridError
        A program failed, or a file cannot be written.

    Warns
    -----
    UserWarning
        The base force field has notes on the molecule, or frames could not be labelled.
    """
    folder, source = expanded(output), read_source(molecule, template)
    chosen, member = source.settled(settings or RefineSettings()), source.molecule
    with lock_folder(folder):
        options: dict[str, Any] = {"charge": member.charge} if member.charge else {}
        made = engine or reference.engine(chosen.engine, **options)
        job = asdict(chosen) | {"engine": f"{made.theory} ({made.program})", "smiles": member.smiles}
        job |= {"max_minutes": str(chosen.max_minutes), "charges_given": source.charges_key}
        note_job(
            folder / "job.json", job, what="refinement", hint="choose another folder",
            rules=dict.fromkeys(_FREE, ignored),
        )  # fmt: skip
        return _Refinement(source, folder, chosen, made, progress).run()


@final
@dataclass(frozen=True, eq=False)
class _Refinement:
    """One refinement in its folder."""

    source: Source
    folder: Path
    settings: RefineSettings
    engine: ReferenceEngine
    progress: bool
    started: float = field(default_factory=time.monotonic)

    @property
    def molecule(self) -> Molecule:
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
        charges = np.load(path, allow_pickle=False)  # rounding differs from the first ones: a resumed run needs these
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

    def run(self) -> Refined:
        """All rounds, and the files of the result."""
        settings = self.settings
        labels = [self._labels(0, "first", self._first())]
        rounds: list[Round] = []
        models: list[ForceField] = []
        for number in range(1, settings.rounds + 1):
            model, fitted = self._fit(number, labels)
            models.append(model)
            pool, hot = self._dynamics(number, self._system(model))
            fresh, others = self._fresh(number, pool)
            checked = self._labels(number, "fresh", pool.positions[fresh])
            n_labels = sum(map(len, labels)) + len(checked)
            rounds.append(self._round(model, fitted, (pool, hot), checked, n_labels))
            self._say(f"round {number}: {_in_words(rounds[-1])}")
            good = self._good(rounds[-1])
            checker = self._checker(number, model)
            wrong = good and any(profile.wrong for profile in checker.profiles([]))
            if (good and not wrong) or self._budget(rounds):
                labels.append(checked)
                break
            known = np.concatenate([*(part.positions for part in labels), checked.positions])
            unknown = np.concatenate([pool.positions[others], hot.positions])
            more = unknown[farthest(unknown, known, settings.n_more)]
            labels += [checked, *([self._labels(number, "more", more)] if len(more) else [])]
            labels += checker.profile_labels() if wrong else []
        return self._finish(rounds, models, labels)

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
        return np.asarray(np.load(path, allow_pickle=False))

    def _first(self) -> NDArray[np.float64]:
        """The first geometries to label: scans, and frames of the base force field far from these and each other."""
        chosen, n_first = self._scans(), self.settings.n_first
        pool, hot = self._dynamics(0, self.built.system)
        chosen = extended(chosen, hot.positions, (n_first - len(chosen)) // 2)
        return extended(chosen, pool.positions, n_first - len(chosen))

    def _dynamics(self, number: int, system: openmm.System) -> tuple[Pool, Pool]:
        """Dynamics from all starts, and from every second start at 1.5 times the temperature.

        Raises
        ------
        NumericalError
            No frame of the first has intact bonds.
        """
        settings, folder = self.settings, self.folder / f"round-{number}"
        pool, hot = (
            sampled(
                system, self.built.topology, self.starts[::every], folder / name, seed=settings.seed + number,
                temperature=times * settings.temperature, progress=self.progress,
            )
            for name, every, times in (("dynamics", 1, 1.0), ("hot", 2, HOT))
        )  # fmt: skip
        if not len(pool.positions):
            raise NumericalError(
                f"no frame of the dynamics in {folder} has intact bonds", hint="lower the temperature, or raise n_first"
            )
        return pool, hot

    def _system(self, model: ForceField) -> openmm.System:
        return with_forcefield(self.built.system, self.built.topology, model)

    def _labels(self, number: int, name: str, positions: NDArray[np.float64]) -> Frames:
        result = reference.label(
            self.engine, self.molecule, positions, output=self.folder / f"round-{number}" / f"{name}.npz",
            progress=self.progress,
        )  # fmt: skip
        if result.failed:
            first, reason = next(iter(result.failed.items()))
            warnings.warn(f"{len(result.failed)} frames have no label; frame {first}: {reason}", stacklevel=5)
        return result.frames

    def _fresh(self, number: int, pool: Pool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Random frames of a pool, and all others."""
        order = np.random.default_rng((self.settings.seed, number)).permutation(len(pool.positions))
        return order[: self.settings.n_fresh], order[self.settings.n_fresh :]

    def _fit(self, number: int, labels: Sequence[Frames]) -> tuple[ForceField, dict[str, Any]]:
        """The force field of a round, and its errors, from its files."""
        path, summary = self.folder / f"round-{number}" / FORCEFIELD, self.folder / f"round-{number}" / "fit.json"
        if not summary.is_file():
            frames = Frames.concatenate(labels)
            n_test = max(1, len(frames) // _LEFT_OUT)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                result = fit(
                    self.base.edit(propers="fourier4", cross=True), frames, n_train=len(frames) - n_test,
                    n_test=n_test, seed=self.settings.seed, progress=self.progress,
                    md_steps=0,  # the round runs dynamics
                )  # fmt: skip
            (found,) = result.molecules
            test = frames[found.split.test]
            found.forcefield.save(path)
            notes = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
            fitted = {
                "n_train": len(found.split.train),
                "left_out": found.split.test.tolist(),
                "unseen": (found.test or found.train).as_dict(),
                "base": error_table(test, self.base.predict(test.positions)).as_dict(),
                "notes": notes,
                "seconds": result.seconds,
            }
            write_json(summary, fitted)
        return ForceField.load(path), json.loads(summary.read_text(encoding="utf-8"))

    def _round(
        self, model: ForceField, fitted: dict[str, Any], pools: tuple[Pool, Pool], checked: Frames, n_labels: int
    ) -> Round:
        predicted = model.predict(checked.positions)
        own: ErrorTable = error_table(checked, predicted)
        worst = np.sqrt(np.mean((predicted[1] - checked.labels()[1]) ** 2, axis=(1, 2))).max()
        names = zip(("dynamics", "hot dynamics"), pools, strict=True)
        notes = [*fitted["notes"], *(f"{name}: {pool.failure}" for name, pool in names if pool.failure)]
        return Round(
            n_train=fitted["n_train"],
            n_labels=n_labels,
            unseen_force=fitted["unseen"]["force_rmse"],
            unseen_energy=fitted["unseen"]["energy_rmse"],
            own_force=own.force_rmse,
            own_energy=own.energy_rmse,
            own_worst=float(worst),
            base_force=fitted["base"]["force_rmse"],
            base_energy=fitted["base"]["energy_rmse"],
            n_broken=pools[0].n_broken,
            n_broken_hot=pools[1].n_broken,
            notes=tuple(notes),
        )

    def _good(self, last: Round) -> bool:
        settings = self.settings
        limit = min(settings.target, settings.factor * last.unseen_force)
        return last.sound and last.sound_hot and last.own_force <= limit

    def _budget(self, rounds: Sequence[Round]) -> str:
        """The budget that leaves no further round, or an empty text."""
        settings = self.settings
        if len(rounds) >= settings.rounds:
            return f"{settings.rounds} round{'s' * (settings.rounds > 1)}"
        next_labels = rounds[-1].n_labels + settings.n_more + settings.n_fresh
        if settings.max_labels is not None and next_labels > settings.max_labels:
            return f"{settings.max_labels} labels"
        if time.monotonic() - self.started > 60.0 * settings.max_minutes:
            return f"{settings.max_minutes:g} minutes"
        return ""

    def _finish(self, rounds: Sequence[Round], models: Sequence[ForceField], labels: Sequence[Frames]) -> Refined:
        """The result: the last round if it was good enough, otherwise the sound one with the smallest error."""
        converged = self._good(rounds[-1])
        sound = [number for number, entry in enumerate(rounds) if entry.sound]
        if not sound:
            raise NumericalError(
                f"the dynamics of every fitted force field lost a bond or failed ({'; '.join(rounds[-1].notes)})",
                hint="give more labels (n_first), more rounds, or a lower temperature",
            )
        order = [(not rounds[number].sound_hot, rounds[number].own_force, number) for number in sound]
        best = len(rounds) - 1 if converged else min(order)[2]
        checks = self._checker(best + 1, models[best]).run()
        everything = Frames.concatenate(labels)
        correction, errors = self._correction(best + 1, models[best], rounds[best], everything)
        verdict = checks.verdict(self._verdict(rounds, best, converged)) + (f" {errors}" if errors else "")
        result = Refined(self.folder, models[best], tuple(rounds), verdict, converged, checks, errors)
        (self.folder / RESULT).unlink(missing_ok=True)  # until the files of this result are complete
        write_correction(self.folder, correction)
        everything.save(self.folder / LABELS)
        result.forcefield.save(self.folder / FORCEFIELD)
        write_systems(self.folder, self.built, result.forcefield, self.settings.solvate)
        used = asdict(self.settings) | {"max_minutes": str(self.settings.max_minutes)}
        job = {"molecule": self.molecule.smiles, "theory": everything.theory, "settings": used}
        write(result, self.molecule, self.base, self.settings, everything)
        write_json(self.folder / RESULT, result.as_dict() | job | {"versions": versions()})
        self._say(result.verdict)
        return result

    def _correction(
        self, number: int, model: ForceField, entry: Round, labels: Frames
    ) -> tuple[Correction | None, CorrectionErrors | None]:
        """The correction of the force field of a round and its errors, if the settings ask for one."""
        if not self.settings.correct:
            return None, None
        _, fitted = self._fit(number, ())
        left_out = np.array(fitted["left_out"], dtype=np.int64)
        n_fit = fitted["n_train"] + len(left_out)  # the labels of the check follow those of the fit
        return Corrector(
            self.molecule, model, labels, unseen=left_out, sampled=np.arange(n_fit, entry.n_labels),
            folder=self.folder / f"round-{number}", progress=self.progress,
        ).run()  # fmt: skip

    def _checker(self, number: int, model: ForceField) -> Checker:
        """The checks of the force field of a round."""
        return Checker(
            self.molecule, self.engine, self.built.topology, refined=Candidate(model, self._system(model)),
            base=Candidate(self.base, self.built.system), starts=self.starts, settings=self.settings,
            folder=self.folder / f"round-{number}" / "checks", progress=self.progress,
        )  # fmt: skip

    def _verdict(self, rounds: Sequence[Round], best: int, converged: bool) -> str:
        entry, settings = rounds[best], self.settings
        text = (
            f"{self.molecule.name}: force RMSE {entry.own_force:.2f} kcal/mol/Å on its own dynamics at "
            f"{settings.temperature:g} K, {entry.unseen_force:.2f} on unseen training frames, {entry.base_force:.1f} "
            f"with {settings.base}"
        )
        if converged:
            count = f"{len(rounds)} round{'s' * (len(rounds) > 1)}"
            return f"{text}; converged after {count} and {entry.n_labels} labels."
        return (
            f"{text}; not converged within the budget of {self._budget(rounds)}; this is round {best + 1} of "
            f"{len(rounds)}."
        )

    def _say(self, text: str) -> None:
        if self.progress:
            print(text, file=sys.stderr)


def _in_words(entry: Round) -> str:
    return (
        f"{entry.n_labels} labels, force RMSE {entry.unseen_force:.2f} kcal/mol/Å on unseen frames, "
        f"{entry.own_force:.2f} on the own dynamics (worst frame {entry.own_worst:.1f})"
    )
