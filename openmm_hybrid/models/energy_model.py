"""EnergyModel: the contract of force fields, kernel models and their sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import positions_to_angstrom

if TYPE_CHECKING:
    import torch


class EnergyModel(ABC):
    """A potential energy of a fixed list of atoms, with its forces.

    Units: positions Å, energies kcal/mol, forces kcal/mol/Å. Forces are −∂E/∂r.

    A subclass with its own arrays in files sets `kind`, defines `to_arrays` and a class method
    ``from_arrays(description, arrays)``, and is registered in `openmm_hybrid.models.storage.MODELS`. Other models are
    saved as their TorchScript module.
    """

    kind: ClassVar[str] = "torchscript"
    """Name of this kind of model in files; empty if it has no file form."""

    @property
    @abstractmethod
    def atomic_numbers(self) -> NDArray[np.int64]:
        """Atomic numbers (n_atoms,), in the model's atom order."""

    @property
    def bonds(self) -> NDArray[np.int64] | None:
        """Bonded pairs (n_bonds, 2), i < j, by which a molecule is recognised; None if the model does not know them."""
        return None

    @abstractmethod
    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energies (n_frames,) and forces (n_frames, n_atoms, 3) at checked positions (n_frames, n_atoms, 3)."""

    def module(self) -> torch.nn.Module:
        """A scriptable module: forward(positions (n, n_atoms, 3) Å) → (energies (n,), forces (n, n_atoms, 3)).

        The forces are analytic, without autograd. They have the dtype of the module's buffers (float64, unless the
        module was converted with ``.to(torch.float32)``) and are on the device of the positions. They carry no gradient
        tape, not even in a frozen script: the module reads ``positions.data``, because freezing removes ``detach()``.
        All numbers by which two models of one class can differ are buffers or parameters: forces of OpenMM are compared
        by them.

        Raises
        ------
        MismatchError
            This kind of model has no TorchScript form.
        """
        raise MismatchError(
            f"{type(self).__name__} has no TorchScript form",
            expected="a model made of torch operations, such as sGDML",
            hint="train an sGDML model on its labels, or keep it as OpenMM forces",
        )

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The model as a JSON-ready description and plain arrays, which the class of its kind reads.

        Raises
        ------
        MismatchError
            It defines no arrays and has no TorchScript form.
        """
        from openmm_hybrid.models.torchscript import script_to_arrays

        return script_to_arrays(self)

    def save(self, path: str | Path) -> Path:
        """Write the model to an npz file of plain arrays, which `openmm_hybrid.load` reads.

        Parameters
        ----------
        path : path
            Must end in .npz. The file is written whole or not at all.

        Returns
        -------
        Path

        Raises
        ------
        MismatchError
            The model, or a part of it, has no file form.
        InputError
            The path has another ending, or the model's kind is not registered.
        HybridError
            The file cannot be written.
        """
        from openmm_hybrid.models import storage

        return storage.save(self, path)

    @property
    def n_atoms(self) -> int:
        """Number of atoms that the model takes."""
        return len(self.atomic_numbers)

    def predict(self, positions: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energies and forces.

        Parameters
        ----------
        positions : array_like, (n_frames, n_atoms, 3) or (n_atoms, 3), Å, or an `openmm.unit` quantity

        Returns
        -------
        energies : (n_frames,), or a 0-d array for one frame, kcal/mol
        forces : same shape as the positions, kcal/mol/Å

        Raises
        ------
        InputError
            The shape does not fit the model, or a coordinate is not finite.
        """
        frames = positions_to_angstrom(positions)
        if frames.ndim not in (2, 3) or frames.shape[-2:] != (self.n_atoms, 3):
            raise InputError(
                f"positions have shape {frames.shape}",
                expected=f"(n_frames, {self.n_atoms}, 3) or ({self.n_atoms}, 3) for this model",
                hint="give the model's atoms, in its order",
            )
        batch = frames.reshape(-1, self.n_atoms, 3)
        finite = np.isfinite(batch).all(axis=(1, 2))
        if not finite.all():
            raise InputError(f"frame {int(np.argmin(finite))} has a coordinate that is not finite")
        energies, forces = self.evaluate(batch)
        return energies.reshape(frames.shape[:-2]), forces.reshape(frames.shape)


class TorchModel(EnergyModel):
    """An EnergyModel that is evaluated by its TorchScript module."""

    @abstractmethod
    def module(self) -> torch.nn.Module:
        """See `EnergyModel.module`."""

    #: Number of frames in a batch, which keeps the largest temporary near the size of a processor's cache.
    _BATCH = 32

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `EnergyModel.evaluate`. The module runs in batches, without a gradient tape."""
        import torch

        module = self.module()
        energies, forces = [], []
        with torch.inference_mode():
            for start in range(0, len(positions), self._BATCH):
                energy, force = module(torch.tensor(np.ascontiguousarray(positions[start : start + self._BATCH])))
                energies.append(energy.to(torch.float64).numpy())
                forces.append(force.to(torch.float64).numpy())
        if not energies:
            return np.zeros(0), np.zeros((0, self.n_atoms, 3))
        return np.concatenate(energies), np.concatenate(forces)


def check_model(model: object, name: str) -> None:
    """Refuse anything but an energy model, such as a Correction, which holds one.

    Raises
    ------
    MismatchError
        It is none.
    """
    if not isinstance(model, EnergyModel):
        hint = "take the model on the whole molecule: correction.in_molecule()" if hasattr(model, "in_molecule") else ""
        raise MismatchError(f"{name} is a {type(model).__name__}", expected="an EnergyModel", hint=hint)
