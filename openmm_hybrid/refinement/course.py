"""The rounds of one molecule of a refinement: the check of each fit, the labels that follow, and the result."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.analysis.error_table import ErrorTable, error_table
from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.core.result_document import versions, write_json
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.refinement.check_results import Checks
from openmm_hybrid.refinement.correct import Corrector, write_correction
from openmm_hybrid.refinement.member import Member
from openmm_hybrid.refinement.outputs import write_systems
from openmm_hybrid.refinement.refined import FORCEFIELD, LABELS, RESULT, CorrectionErrors, Refined, Round
from openmm_hybrid.refinement.report import write
from openmm_hybrid.refinement.select import Pool


@final
@dataclass(eq=False)
class Course:
    """The rounds of one molecule so far.

    Parameters
    ----------
    member : Member
    labels : list of Frames
        All labels, in the order in which they were added.
    models : list of ForceField
        The force field of each round.
    fits : list of mapping
        What each round's fit wrote: its errors, notes, and which frames it left out.
    rounds : list of Round
    """

    member: Member
    labels: list[Frames]
    models: list[ForceField] = field(default_factory=list)
    fits: list[Mapping[str, Any]] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    _unlabelled: list[NDArray[np.float64]] = field(default_factory=list)

    @classmethod
    def begun(cls, member: Member) -> Course:
        """The start of the rounds: labels for the dynamics and scans of the base force field."""
        return cls(member, [member.labels(0, "first", member.first())])

    @property
    def good(self) -> bool:
        """Whether the errors of the last round meet the factor and the target, and no check failed."""
        settings, last = self.member.settings, self.rounds[-1]
        limit = min(settings.target, settings.factor * last.unseen_force)
        return last.sound and last.sound_hot and last.own_force <= limit and not last.failures

    def assess(self, model: ForceField, fitted: Mapping[str, Any]) -> None:
        """Add a round: dynamics of the force field, labels of some of their frames, and checks if its errors are small.

        Raises
        ------
        NumericalError
            No frame of the dynamics has intact bonds, or none could be labelled.
        """
        member, number = self.member, len(self.rounds) + 1
        pool, hot = member.dynamics(number, member.system(model))
        fresh, others = member.fresh(number, pool)
        checked = member.labels(number, "fresh", pool.positions[fresh])
        self._unlabelled = [pool.positions[others], hot.positions]
        self.labels.append(checked)
        self.models.append(model)
        self.fits.append(fitted)
        self.rounds.append(_round(model, fitted, (pool, hot), checked, sum(map(len, self.labels))))
        self._say(f"round {number}: {self.rounds[-1]}")
        if self.good:
            self.rounds[-1] = replace(self.rounds[-1], failures=member.checker(number, model).run().failures)
            for failure in self.rounds[-1].failures:
                self._say(f"round {number}: {failure}")

    def extend(self) -> None:
        """Add labels for the next round: frames far from the labelled ones, and those of the checks."""
        number = len(self.rounds)
        checker = self.member.checker(number, self.models[-1])
        self.labels += self.member.more(number, self.labels, self._unlabelled, checker)

    def finish(self, budget: str) -> Refined:
        """Write the result: the last round if it is good, otherwise the sound one with the smallest error.

        Parameters
        ----------
        budget : str
            The budget that ended the rounds, in words.

        Raises
        ------
        NumericalError
            The dynamics of every force field lost a bond or failed.
        HybridError
            A file cannot be written, or the molecule cannot be solvated.
        """
        member, folder = self.member, self.member.folder
        best = self._best()
        checks = self._checks(best)
        everything = Frames.concatenate(self.labels)
        correction, errors = self._correction(best, everything)
        verdict = checks.verdict(self._verdict(best, budget)) + (f" {errors}" if errors else "")
        result = Refined(folder, self.models[best], tuple(self.rounds), best + 1, verdict, self.good, checks, errors)
        (folder / RESULT).unlink(missing_ok=True)  # until the files of this result are complete
        write_correction(folder, correction)
        everything.save(folder / LABELS)
        result.forcefield.save(folder / FORCEFIELD)
        write_systems(folder, member.built, result.forcefield, member.settings.solvate)
        used = asdict(member.settings) | {"max_minutes": str(member.settings.max_minutes)}
        job = {"molecule": member.molecule.smiles, "theory": everything.theory, "settings": used}
        write(result, member.molecule, member.base, member.settings, everything)
        write_json(folder / RESULT, result.as_dict() | job | {"versions": versions()})
        self._say(result.verdict)
        return result

    def _checks(self, best: int) -> Checks:
        """The checks of a round, with the frequencies if the settings ask for them."""
        checker = self.member.checker(best + 1, self.models[best])
        checks = checker.run()
        if not self.member.settings.frequencies:
            return checks
        try:
            return replace(checks, frequencies=checker.frequencies())
        except (InputError, NumericalError) as error:
            reason = f"the frequencies could not be computed ({str(error).rstrip('.')})"
            return replace(checks, problems=(*checks.problems, reason))

    def _best(self) -> int:
        """Index of the round of the result. Rounds with failed checks or broken hot dynamics come last."""
        if self.good:
            return len(self.rounds) - 1
        order = [
            (not entry.sound_hot or bool(entry.failures), entry.own_force, number)
            for number, entry in enumerate(self.rounds)
            if entry.sound
        ]
        if not order:
            raise NumericalError(
                f"the dynamics of every fitted force field lost a bond or failed ({'; '.join(self.rounds[-1].notes)})",
                hint="give more labels (n_first), more rounds, or a lower temperature",
            )
        return min(order)[2]

    def _correction(self, best: int, labels: Frames) -> tuple[Correction | None, CorrectionErrors | None]:
        """The correction of the force field of a round and its errors, if the settings ask for one."""
        member, fitted = self.member, self.fits[best]
        if not member.settings.correct:
            return None, None
        left_out = np.array(fitted["left_out"], dtype=np.int64)
        sampled = np.arange(fitted["n_labels"], self.rounds[best].n_labels)  # the labels of the check
        return Corrector(
            member.molecule, self.models[best], labels, unseen=left_out, sampled=sampled,
            folder=member.folder / f"round-{best + 1}", progress=member.progress,
        ).run()  # fmt: skip

    def _verdict(self, best: int, budget: str) -> str:
        entry, settings = self.rounds[best], self.member.settings
        worse = f"Worse than {settings.base}. " if entry.own_force >= entry.base_force else ""
        text = (
            f"{worse}{self.member.molecule.name}: force RMSE {entry.own_force:.2f} kcal/mol/Å on its own dynamics at "
            f"{settings.temperature:g} K, {entry.unseen_force:.2f} on unseen training frames, {entry.base_force:.1f} "
            f"with {settings.base}"
        )
        if self.good:
            count = f"{len(self.rounds)} round{'s' * (len(self.rounds) > 1)}"
            return f"{text}; converged after {count} and {entry.n_labels} labels."
        return f"{text}; not converged within the budget of {budget}; this is round {best + 1} of {len(self.rounds)}."

    def _say(self, text: str) -> None:
        if self.member.progress:
            print(text, file=sys.stderr)


def _round(
    model: ForceField, fitted: Mapping[str, Any], pools: tuple[Pool, Pool], checked: Frames, n_labels: int
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
