"""Correction: a model of what a force field misses, with the atoms that it is for, in memory and as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.versioned_npz import NpzFormat, prefixed, reading, write
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.models.compose import OnAtoms
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.storage import pack, unpack
from openmm_hybrid.sgdml import gate
from openmm_hybrid.sgdml.model import SGDMLModel

FORMAT: NpzFormat = NpzFormat("openmm-hybrid correction", version=2, what="a correction", oldest=2)


@final
@dataclass(frozen=True, eq=False)
class Correction:
    """A model that is added to a force field of a molecule. All four recipes return one.

    Parameters
    ----------
    model : EnergyModel
        An `SGDMLModel`, possibly gated, or a `ForceField` of the fitted functions; it takes the atoms `atoms`.
    atoms : (model.n_atoms,) or None
        Indices of the model's atoms in the molecule; None if the model takes all of them in their order.
    atomic_numbers : (n_atoms,)
        Atomic numbers of the whole molecule, in the atom order of the data. By default the model's, which suffices
        without `atoms`.
    recipe : str
        Name of the function that made it, such as "train_local"; empty if it is not known.
    report : mapping
        Results of the recipe as strings, numbers, lists and mappings of these (tuples become lists). "summary" is the
        line that `summary` prints; the recipes document the other keys.
    bonds : (n_bonds, 2) or None
        Bonded pairs of the whole molecule, by which `attach` recognises it. By default the model's, without `atoms`.

    Raises
    ------
    InputError
        An index is out of range or repeated, `atoms` is given without `atomic_numbers`, or the report holds other
        objects.
    MismatchError
        The model's atoms are not the ones that `atoms` chooses.
    """

    model: EnergyModel
    atoms: NDArray[np.int64] | None = None
    atomic_numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    recipe: str = ""
    report: Mapping[str, Any] = field(default_factory=dict, repr=False)
    bonds: NDArray[np.int64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "report", json.loads(json.dumps(dict(self.report))))
        except TypeError as error:
            raise InputError(
                f"the report cannot be written as JSON ({error})", expected="strings, numbers, lists"
            ) from error
        if self.bonds is None and self.atoms is None:
            object.__setattr__(self, "bonds", self.model.bonds)
        if self.atoms is not None and not len(self.atomic_numbers):
            raise InputError(
                "atoms are given without their molecule", expected="its atomic_numbers, in the data's order"
            )
        if self.atoms is not None:
            object.__setattr__(self, "atoms", OnAtoms(self.model, self.atoms, self.atomic_numbers).atoms)
        elif not len(self.atomic_numbers):
            object.__setattr__(self, "atomic_numbers", self.model.atomic_numbers)
        elif not np.array_equal(self.atomic_numbers, self.model.atomic_numbers):
            raise MismatchError(
                f"the molecule has the atomic numbers {np.asarray(self.atomic_numbers).tolist()}",
                expected=f"{self.model.atomic_numbers.tolist()}, like the model",
                hint="name the model's atoms with atoms=",
            )

    @property
    def n_atoms(self) -> int:
        """Number of atoms of the whole molecule."""
        return len(self.atomic_numbers)

    def on(self, particles: ArrayLike) -> NDArray[np.int64]:
        """The particles to give to `attach` as ``atoms``.

        Parameters
        ----------
        particles : (n_atoms,) or (n_copies, n_atoms)
            Particles of the whole molecule, in the atom order of the data that the correction was made from.

        Returns
        -------
        (model.n_atoms,) or (n_copies, model.n_atoms)

        Raises
        ------
        MismatchError
            The number of particles is not the molecule's.
        """
        given = np.asarray(particles)
        n_atoms = given.shape[-1] if given.ndim else 0
        if n_atoms != self.n_atoms:
            raise MismatchError(
                f"{n_atoms} atoms were given", expected=f"the {self.n_atoms} of the correction's whole molecule"
            )
        return given if self.atoms is None else given[..., self.atoms]

    def in_molecule(self) -> EnergyModel:
        """The model on all atoms of the molecule, for a `Sum` with the force field."""
        return self.model if self.atoms is None else OnAtoms(self.model, self.atoms, self.atomic_numbers)

    def gated(self, frames: Frames, *, lower: float = gate.LOWER, upper: float = gate.UPPER) -> Correction:
        """The same correction with a gate, which lets it fade far from its training geometries.

        Parameters
        ----------
        frames : Frames
            Training frames of the whole molecule; the model's mean energy over them is subtracted.
        lower, upper : float
            Distances between which it fades. See `openmm_hybrid.correction.gate`.

        Raises
        ------
        MismatchError
            The model is not an `SGDMLModel`, or the frames are of another molecule.
        InputError
            There are no frames, or the limits are not 0 < lower < upper.
        """
        if not isinstance(self.model, SGDMLModel):
            raise MismatchError(f"a {type(self.model).__name__} has no gate", expected="an SGDMLModel without a gate")
        if not np.array_equal(frames.atomic_numbers, self.atomic_numbers):
            raise MismatchError(
                f"the frames of {frames.name!r} are of other atoms", expected="frames of the correction's molecule"
            )
        chosen = slice(None) if self.atoms is None else self.atoms
        fragment = Frames(self.model.atomic_numbers, frames.positions[:, chosen])
        return replace(self, model=gate.gate(self.model, fragment, lower=lower, upper=upper))

    def summary(self) -> str:
        """One line for a reader: the number of atoms, and the recipe's result."""
        text = f"{type(self.model).__name__} of {self.model.n_atoms} of {self.n_atoms} atoms"
        return f"{text}: {self.report['summary']}" if self.report.get("summary") else text

    def save(self, path: str | Path) -> Path:
        """Write the correction to an npz file of plain arrays, whole or not at all; `openmm_hybrid.load` reads it.

        Raises
        ------
        InputError
            The path does not end in .npz, or a number of the report is not finite.
        MismatchError
            The model has no file form.
        HybridError
            The file cannot be written.
        """
        model, arrays = pack(self.model)
        arrays = prefixed("model/", arrays) | {"atomic_numbers": np.asarray(self.atomic_numbers)}
        arrays |= {name: np.asarray(value) for name in ("atoms", "bonds") if (value := getattr(self, name)) is not None}
        description = {"model": model, "recipe": self.recipe, "report": dict(self.report)}
        return write(path, FORMAT, description, arrays)


def read(path: str | Path) -> Correction:
    """The correction in a file that `Correction.save` wrote.

    Raises
    ------
    InputError
        The file is missing, damaged, of another format or of a version that cannot be read.
    """
    with reading(path, FORMAT) as (description, arrays):
        return Correction(
            model=unpack(description["model"], arrays.under("model/")),
            atoms=arrays.integers("atoms", (None,)) if "atoms" in arrays else None,
            atomic_numbers=arrays.integers("atomic_numbers", (None,)),
            bonds=arrays.integers("bonds", (None, 2)) if "bonds" in arrays else None,
            recipe=str(description["recipe"]),
            report=dict(description["report"]),
        )
