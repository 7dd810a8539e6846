"""The recipes of a correction: which options each one needs and takes, and how it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.studies.study import read_indices

if TYPE_CHECKING:
    from openmm_hybrid.data.frames import Frames
    from openmm_hybrid.data.molecule import Molecule
    from openmm_hybrid.models.energy_model import EnergyModel
    from openmm_hybrid.models_io.correction import Correction

Coordinate = list[int] | list[list[int]]

_TESTED = 200  # frames whose errors are told


@final
@dataclass(frozen=True)
class Options:
    """Options of the recipes; None where the user gave none.

    Parameters
    ----------
    atoms : str or None
        Indices such as "0-8,12".
    smarts : str or None
        Pattern whose first match is the atoms.
    along : list of str or None
        Coordinates such as "8,10" or "5,6,12,11 x 6,5,10,7".
    sampled : Path or None
        Frames of the force field's own dynamics.
    temperature : float or None, K
    gate : bool or None
    sigma : float or None, 1/Å
    lam : float or None
    n_train : int or None
    seed : int or None
    """

    atoms: str | None = None
    smarts: str | None = None
    along: Sequence[str] | None = None
    sampled: Path | None = None
    temperature: float | None = None
    gate: bool | None = None
    sigma: float | None = None
    lam: float | None = None
    n_train: int | None = None
    seed: int | None = None

    def given(self) -> set[str]:
        """Names of the options that the user gave, as on the command line."""
        return {
            f"--{option.name.replace('_', '-')}"
            for option in fields(self)
            if getattr(self, option.name) not in (None, "", [])
        }

    @property
    def coordinates(self) -> list[Coordinate]:
        """The coordinates of `along` as lists of atoms."""
        return [read_coordinate(text) for text in self.along or ()]

    @property
    def kernel(self) -> dict[str, Any]:
        """Keyword arguments that all kernel models share."""
        return {
            "sigma": 1.0 if self.sigma is None else self.sigma,
            "n_train": self.n_train,
            "seed": self.seed or 0,
        }


@final
@dataclass(frozen=True, eq=False)
class Task:
    """A correction to train.

    Parameters
    ----------
    forcefield : EnergyModel
    frames : Frames
        Labelled frames, or frames of the reference's dynamics.
    molecule : Molecule or None
    options : Options
    output : Path
        File of the correction.
    progress : bool
        Show the progress.
    """

    forcefield: EnergyModel
    frames: Frames
    molecule: Molecule | None
    options: Options
    output: Path
    progress: bool


@final
@dataclass(frozen=True)
class Recipe:
    """A recipe.

    Parameters
    ----------
    train : function
        Trains, writes the file and returns lines for the user.
    needs : tuple of sets of str
        One option of each set must be given.
    takes : set of str
        Further options.
    """

    train: Callable[[Task], list[str]]
    needs: tuple[frozenset[str], ...] = ()
    takes: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """All options of the recipe."""
        return self.takes.union(*self.needs)


def _global(task: Task) -> list[str]:
    from openmm_hybrid import correction

    options = task.options
    found = correction.train(
        task.forcefield,
        task.frames,
        lam=1e-10 if options.lam is None else options.lam,
        molecule=task.molecule,
        progress=task.progress,
        **options.kernel,
    )
    made = found.gated(task.frames) if options.gate else found
    made.save(task.output)
    return _errors(task, made, found.model)


def _errors(task: Task, made: Correction, trained: EnergyModel) -> list[str]:
    """Errors of the forces with and without a correction of all atoms, for frames that it was not trained on."""
    import numpy as np

    from openmm_hybrid.analysis.error_table import error_table
    from openmm_hybrid.sgdml.model import SGDMLModel

    known = trained.idxs_train if isinstance(trained, SGDMLModel) else np.zeros(0)
    rest = np.setdiff1d(np.arange(len(task.frames)), known)
    if not len(rest):
        return []
    chosen = np.sort(np.random.default_rng(0).permutation(rest)[:_TESTED])
    test = task.frames[chosen]
    base = task.forcefield.predict(test.positions)
    added = made.in_molecule().predict(test.positions)
    without, found = (
        error_table(test, labels).force_rmse for labels in (base, (base[0] + added[0], base[1] + added[1]))
    )
    return [
        f"force RMSE {found:.3g} kcal/mol/Å on {len(test)} frames that it was not trained on, {without:.3g} without it"
    ]


def _local(task: Task) -> list[str]:
    from openmm_hybrid import correction

    options = task.options
    found = correction.train_local(
        task.forcefield,
        task.frames,
        options.smarts or list(read_indices(options.atoms or "")),
        molecule=task.molecule,
        lams=correction.LAMS if options.lam is None else (options.lam,),
        progress=task.progress,
        **options.kernel,
    )
    (found.gated(task.frames) if options.gate else found).save(task.output)
    return [found.summary()]


def _distilled(task: Task) -> list[str]:
    from openmm_hybrid import correction

    found = correction.distill(
        task.forcefield, task.frames, task.options.coordinates, molecule=task.molecule, progress=task.progress
    )
    found.save(task.output)
    return [found.summary()]


def _populations(task: Task) -> list[str]:
    from openmm_hybrid import correction
    from openmm_hybrid.data.frames import Frames

    options = task.options
    if options.sampled is None or options.temperature is None:
        raise InputError("recipe populations without --sampled or --temperature", hint="add this option")
    found = correction.match_populations(
        Frames.load(options.sampled),
        task.frames,
        options.coordinates,
        temperature=options.temperature,
        molecule=task.molecule,
    )
    found.save(task.output)
    return [found.summary()]


_KERNEL = frozenset({"--gate", "--sigma", "--lam", "--n-train", "--seed"})
_ALONG = frozenset({"--along"})
RECIPES = {
    "global": Recipe(_global, takes=_KERNEL),
    "local": Recipe(_local, (frozenset({"--atoms", "--smarts"}),), _KERNEL),
    "distilled": Recipe(_distilled, (_ALONG,)),
    "populations": Recipe(_populations, (_ALONG, frozenset({"--sampled"}), frozenset({"--temperature"}))),
}
"""Name → recipe."""


def choose_recipe(name: str | None, options: Options) -> Recipe:
    """The recipe that the user names, or the one that the given options need.

    Raises
    ------
    InputError
        An option is missing, or the recipe does not take it.
    """
    given = options.given()
    if given >= {"--atoms", "--smarts"}:
        raise InputError("both --atoms and --smarts are given", expected="one of them")
    if name is None:
        wanted = (("local", {"--atoms", "--smarts"}), ("populations", {"--sampled"}), ("distilled", {"--along"}))
        name = next((recipe for recipe, signs in wanted if signs & given), "global")
    recipe = RECIPES[name]
    for group in recipe.needs:
        if not given & group:
            raise InputError(f"recipe {name} without {' or '.join(sorted(group))}", hint="add this option")
    strange = given - recipe.known
    if strange:
        raise InputError(
            f"recipe {name} with {', '.join(sorted(strange))}",
            expected=f"options that it takes: {', '.join(sorted(recipe.known))}",
        )
    return recipe


def read_coordinate(text: str) -> Coordinate:
    """The atoms of a coordinate such as "8,10", or of two dihedrals such as "5,6,12,11 x 6,5,10,7".

    Raises
    ------
    InputError
        The text is not made of indices.
    """
    try:
        parts = [[int(atom) for atom in part.split(",")] for part in text.split("x")]
    except ValueError:
        raise InputError(
            f"cannot read the coordinates {text!r}", expected="atoms such as 8,10 or 5,6,12,11 x 6,5,10,7"
        ) from None
    return parts[0] if len(parts) == 1 else parts
