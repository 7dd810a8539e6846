"""SGDMLModel: a trained sGDML model, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.versioned_npz import Arrays
from openmm_hybrid.data.bonds import clear_bonds
from openmm_hybrid.models.energy_model import TorchModel
from openmm_hybrid.sgdml.descriptor import pairs
from openmm_hybrid.sgdml.module import KernelModule
from openmm_hybrid.sgdml.symmetry import check_permutations


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class SGDMLModel(TorchModel):
    """A kernel model of forces whose energy is their exact integral (Chmiela et al., Nat. Commun. 9, 3887 (2018)).

    Made by `train` or `load`. The equation is in `openmm_hybrid.sgdml.module`.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    descriptors : (n_train, n_pairs), 1/Å
        x of the training geometries, n_pairs = n_atoms (n_atoms − 1)/2.
    descriptor_alphas : (n_train, n_pairs)
        J α: the coefficients in descriptor space, for forces in units of `std`.
    perms : (n_perms, n_atoms)
        Group of atom permutations, counted from 0.
    sigma : float, 1/Å
    c : float, kcal/mol
        Constant of integration; 0 for a model that was trained without energies.
    std : float, kcal/mol/Å
        Standard deviation of the training forces' components.
    lam : float
        Regularisation of the training; NaN if not known.
    name, theory : str
        Name and level of theory of the training data.
    alphas : (n_train, n_atoms, 3), optional
        Coefficients α in Cartesian space.
    alphas_E : (n_train,), Å, optional
        Coefficients of the training energies, for energies in units of `std`; None without an energy constraint.
    idxs_train : (n_train,)
        Indices of the training geometries in their data set; empty if not known.
    md5_train : str
        sGDML's fingerprint of the data set; empty if not known.
    use_E : bool
        Whether `c` was fitted to energies.

    Raises
    ------
    InputError, MismatchError
        Shapes that do not fit, numbers that are not finite, permutations that are not a group.
    """

    # With a default, which is refused: without one, the field would take the base class's property for its default.
    atomic_numbers: NDArray[np.int64] = ()  # type: ignore[assignment]
    descriptors: NDArray[np.float64] = field(repr=False)
    descriptor_alphas: NDArray[np.float64] = field(repr=False)
    perms: NDArray[np.int64] = field(repr=False)
    sigma: float
    c: float
    std: float = 1.0
    lam: float = float("nan")
    name: str = "molecule"
    theory: str = "unknown"
    alphas: NDArray[np.float64] | None = field(default=None, repr=False)
    alphas_E: NDArray[np.float64] | None = field(default=None, repr=False)
    idxs_train: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    md5_train: str = ""
    use_E: bool = True
    kind: ClassVar[str] = "sgdml"

    def __post_init__(self) -> None:
        elements = np.array(self.atomic_numbers, dtype=np.int64)
        n_atoms, n_train = len(elements), len(self.descriptors)
        if elements.ndim != 1 or n_atoms < 2 or elements.min() < 1 or elements.max() > 118:
            raise InputError(
                "the atomic numbers of an sGDML model are not a list of elements", expected="two or more, from 1 to 118"
            )
        shapes = {
            "descriptors": (n_train, n_atoms * (n_atoms - 1) // 2),
            "descriptor_alphas": (n_train, n_atoms * (n_atoms - 1) // 2),
            "alphas": (n_train, n_atoms, 3),
            "alphas_E": (n_train,),
        }
        arrays: dict[str, NDArray[Any]] = {
            key: np.array(getattr(self, key), dtype=np.float64) for key in shapes if getattr(self, key) is not None
        }
        for key, array in arrays.items():
            if array.shape != shapes[key] or n_train < 1:
                raise MismatchError(
                    f"{key} of an sGDML model of {n_atoms} atoms has shape {array.shape}", expected=f"{shapes[key]}"
                )
        scalars = np.array([self.sigma, self.c, self.std], dtype=np.float64)
        if not all(np.isfinite(array).all() for array in (scalars, *arrays.values())) or self.sigma <= 0.0:
            raise InputError("an sGDML model has a number that is not finite, or a sigma that is not positive")
        arrays["atomic_numbers"], arrays["perms"] = elements, check_permutations(self.perms, elements)
        arrays["idxs_train"] = np.array(self.idxs_train, dtype=np.int64)
        for key, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, key, array)

    @property
    def n_train(self) -> int:
        """Number of training geometries."""
        return len(self.descriptors)

    @cached_property
    def _bonds(self) -> NDArray[np.int64] | None:
        return clear_bonds(self.atomic_numbers, pairs(len(self.atomic_numbers)), (1.0 / self.descriptors).mean(axis=0))

    @property
    def bonds(self) -> NDArray[np.int64] | None:
        """See `EnergyModel.bonds`: from the mean distances in the training geometries, if they leave no doubt."""
        return self._bonds

    def module(self) -> KernelModule:
        """See `EnergyModel.module`. The module shares its matrices with the model until it is converted or moved."""
        return deepcopy(self._module, memo={id(buffer): buffer for buffer in self._module.buffers()})

    @cached_property
    def _module(self) -> KernelModule:
        return KernelModule(
            descriptors=self.descriptors,
            weights=self.std * self.descriptor_alphas,
            perms=self.perms,
            sigma=self.sigma,
            constant=self.c,
            energy_weights=None if self.alphas_E is None else self.std * self.alphas_E,
        )

    def save(self, path: str | Path) -> Path:
        """Write the model as sGDML npz, as the sgdml program does; complete or not at all. Returns the path."""
        from openmm_hybrid.sgdml.model_file import save

        return save(self, path)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """See `EnergyModel.to_arrays`."""
        from openmm_hybrid.sgdml.model_file import to_arrays

        return {}, to_arrays(self)

    @classmethod
    def from_arrays(cls, description: Mapping[str, Any], arrays: Arrays) -> SGDMLModel:
        """The model that `to_arrays` described."""
        from openmm_hybrid.sgdml.model_file import from_arrays

        return from_arrays(arrays, "the sGDML model")
