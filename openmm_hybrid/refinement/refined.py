"""The result of a refinement, and its files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded, read_json
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models_io.any_model import load as load_model
from openmm_hybrid.models_io.correction import Correction
from openmm_hybrid.models_io.correction import read as read_correction
from openmm_hybrid.refinement.check_results import Checks

FORCEFIELD, LABELS, RESULT, REPORT = "forcefield.npz", "labels.npz", "result.json", "report.html"
CORRECTION = "correction.npz"
PAGE = "index.html"  # of a batch of refinements
SYSTEM, SOLVATED, RESIDUES = "system", "solvated", "refined.xml"
_FIRST = "round-0"  # the folder that every refinement starts with


@final
@dataclass(frozen=True)
class Round:
    """Errors of one fit, force RMSE in kcal/mol/Å and energy RMSE in kcal/mol.

    Parameters
    ----------
    n_train, n_labels : int
        Frames of the fit, and all labels so far, with those of the check.
    unseen_force, unseen_energy : float
        Errors on labelled frames that the fit left out.
    own_force, own_energy : float
        Errors on random frames of the model's own dynamics.
    own_worst : float
        Largest force RMSE of one of these frames.
    base_force, base_energy : float
        Errors of the base force field on the frames of `unseen_force`.
    n_broken, n_broken_hot : int
        Frames with a broken bond of its own dynamics, and of those at 1.5 times the temperature.
    notes : tuple of str
        Checks of the fit that failed, and the reasons why dynamics ended early.
    failures : tuple of str
        Failed checks of the force field, in words. It is checked if its errors meet the factor and the target.
    """

    n_train: int
    n_labels: int
    unseen_force: float
    unseen_energy: float
    own_force: float
    own_energy: float
    own_worst: float
    base_force: float
    base_energy: float
    n_broken: int
    n_broken_hot: int
    notes: tuple[str, ...]
    failures: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The errors in one line."""
        return (
            f"{self.n_labels} labels, force RMSE {self.unseen_force:.2f} kcal/mol/Å on unseen frames, "
            f"{self.own_force:.2f} on its own dynamics (worst frame {self.own_worst:.1f})"
        )

    @property
    def sound(self) -> bool:
        """Whether the dynamics kept all bonds and did not fail."""
        return not self.n_broken and not any(note.startswith("dynamics") for note in self.notes)

    @property
    def sound_hot(self) -> bool:
        """Whether the dynamics at 1.5 times the temperature kept all bonds and did not fail."""
        return not self.n_broken_hot and not any(note.startswith("hot dynamics") for note in self.notes)


@final
@dataclass(frozen=True)
class CorrectionErrors:
    """Force RMSE of a refined force field without and with its correction, kcal/mol/Å.

    Neither the fit nor the training of the correction saw the frames.

    Parameters
    ----------
    n_train : int
        Number of training frames of the correction.
    n_unseen, n_sampled : int
        Number of labelled frames that the fit left out, and of random frames of the force field's own dynamics.
    unseen, sampled : float
        Errors of the force field alone on these frames.
    corrected_unseen, corrected_sampled : float
        Errors of the force field with the correction.
    faded : float
        Share of the frames of the dynamics in which the gate weakens the correction.
    """

    n_train: int
    n_unseen: int
    n_sampled: int
    unseen: float
    sampled: float
    corrected_unseen: float
    corrected_sampled: float
    faded: float

    def __str__(self) -> str:
        """One sentence for a reader."""
        start = "With the correction, the" if self.helps else "The correction does not help: with it, the"
        return (
            f"{start} force RMSE is {self.corrected_sampled:.2f} kcal/mol/Å instead of {self.sampled:.2f} on the "
            f"dynamics of the force field, and {self.corrected_unseen:.2f} instead of {self.unseen:.2f} on unseen "
            "training frames."
        )

    @property
    def helps(self) -> bool:
        """Whether the error on the dynamics of the force field is smaller with the correction."""
        return self.corrected_sampled < self.sampled


@final
@dataclass(frozen=True, eq=False)
class Refined:
    """A refined molecule in its folder.

    Parameters
    ----------
    path : Path
        The folder. It holds forcefield.npz, labels.npz, result.json, report.html, refined.xml (the base force field's
        residue template for `openmm.app.ForceField`), correction.npz if there is a correction, and in ``system`` and
        ``solvated`` what `openmm_hybrid.load_system` reads, without the correction.
    forcefield : ForceField
    rounds : tuple of Round
    chosen : int
        Number of the round, from 1, of which this is the force field.
    verdict : str
        One sentence on the quality of the force field.
    converged : bool
        Whether the errors met the factor and the target, and no check failed.
    checks : Checks
        Torsion profiles, minima and a run at high temperature of the force field.
    correction_errors : CorrectionErrors, optional
        Errors with and without the correction, if `RefineSettings.correct` asked for one.
    """

    path: Path
    forcefield: ForceField
    rounds: tuple[Round, ...]
    chosen: int
    verdict: str
    converged: bool
    checks: Checks
    correction_errors: CorrectionErrors | None = None

    @property
    def labels(self) -> Frames:
        """All labelled frames."""
        return Frames.load(self.path / LABELS)

    @property
    def correction(self) -> Correction | None:
        """The gated sGDML correction of all atoms, which is read from its file; None without one."""
        file = self.path / CORRECTION
        return read_correction(file) if file.is_file() else None

    @classmethod
    def load(cls, path: str | Path) -> Refined:
        """The result in a folder.

        Raises
        ------
        InputError
            There is no finished refinement, or a file is damaged.
        """
        folder = expanded(path)
        hint = "call refine again with the same settings: it resumes"
        if not (folder / RESULT).is_file():
            raise InputError(f"{folder} holds no finished refinement", hint=hint)
        if (folder / PAGE).is_file():
            raise InputError(
                f"{folder} holds many refinements", expected="the folder of one", hint="load a folder in it"
            )
        content = read_json(folder / RESULT, expected="the result of a refinement", hint=hint)
        try:
            texts = ("notes", "failures")
            rounds = tuple(Round(**entry | {name: tuple(entry[name]) for name in texts}) for entry in content["rounds"])
            chosen = int(content["chosen"])
            verdict, converged = str(content["verdict"]), bool(content["converged"])
            checks = Checks.from_dict(content["checks"])
            errors = CorrectionErrors(**content["correction"]) if content["correction"] else None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{folder / RESULT} is damaged ({error})", hint=hint) from None
        return cls(folder, ForceField.load(folder / FORCEFIELD), rounds, chosen, verdict, converged, checks, errors)

    def as_dict(self) -> dict[str, Any]:
        """Verdict, rounds, checks and errors of the correction, for JSON."""
        return {
            "verdict": self.verdict,
            "converged": self.converged,
            "rounds": [asdict(entry) for entry in self.rounds],
            "chosen": self.chosen,
            "checks": self.checks.as_dict(),
            "correction": asdict(self.correction_errors) if self.correction_errors else None,
        }


def load(source: str | Path) -> EnergyModel | Correction | Refined:
    """Read a model or a refinement: a file, the name of a shipped model, or the folder of `refine`.

    Arrays are read without pickle. A model of a kind without arrays is a TorchScript module; see `load_torchscript`.

    Parameters
    ----------
    source : str or Path
        A file (.npz of an sGDML model in any layout, a force field, a correction or another model; .pt of
        `export_torchscript`), the folder of a refinement, or a name such as "ethanol-cross"
        (`openmm_hybrid.forcefield.names`).

    Returns
    -------
    EnergyModel, Correction or Refined
        A `Correction` if the file holds one: a model with the atoms that it is for. A `Refined` for a folder.

    Raises
    ------
    InputError
        The file is missing, damaged, not a model or of a newer version, the refinement is not finished, or nothing is
        shipped under this name.
    """
    folder = expanded(source)
    if (folder / RESULT).is_file() or (folder / _FIRST).is_dir():
        return Refined.load(folder)
    return load_model(source)
