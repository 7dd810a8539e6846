"""Frames: geometries of one molecule with their energies, forces and level of theory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.core.units import strip


class _NoFrameError(InputError, IndexError):
    """A frame does not exist; an IndexError too, which ends an iteration over frames."""


@dataclass(frozen=True, eq=False, repr=False)
class Frames:
    """Geometries of one molecule in one atom order, with or without labels. `openmm.unit` Quantities are converted.

    Parameters
    ----------
    atomic_numbers : (n_atoms,)
    positions : (n_frames, n_atoms, 3), Å
    energies : (n_frames,), kcal/mol, or None
    forces : (n_frames, n_atoms, 3), kcal/mol/Å, or None
    name : str
        Name of the molecule or data set.
    theory : str
        Level of theory of the labels, such as "CCSD(T)/cc-pVTZ" or "GFN2-xTB"; "unknown" if it is not known.

    Raises
    ------
    MismatchError
        The shapes of the arrays do not match.
    InputError
        A number is not finite (the message names the frame) or an atomic number does not exist.
    """

    atomic_numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    energies: NDArray[np.float64] | None = None
    forces: NDArray[np.float64] | None = None
    name: str = "molecule"
    theory: str = "unknown"

    def __post_init__(self) -> None:
        given = np.asarray(self.atomic_numbers)
        if given.dtype.kind not in "iuf" or (given.dtype.kind == "f" and (given % 1 != 0).any()):
            raise InputError("atomic numbers are not integers", expected="integers from 1 to 118, one per atom")
        atomic_numbers = np.array(given, dtype=np.int64)
        n_atoms = atomic_numbers.size
        arrays: dict[str, NDArray[Any]] = {"atomic_numbers": atomic_numbers}
        for field, kind in (("positions", "length"), ("energies", "energy"), ("forces", "force")):
            value = getattr(self, field)
            if value is not None:
                arrays[field] = np.array(strip(value, kind), dtype=np.float64)
        n_frames = len(arrays["positions"])
        expected = {
            "positions": (n_frames, n_atoms, 3),
            "energies": (n_frames,),
            "forces": (n_frames, n_atoms, 3),
        }
        if atomic_numbers.ndim != 1 or n_atoms == 0 or atomic_numbers.min() < 1 or atomic_numbers.max() > 118:
            raise InputError(
                "atomic numbers are not a list of elements", expected="integers from 1 to 118, one per atom"
            )
        for field, shape in expected.items():
            if field not in arrays:
                continue
            if arrays[field].shape != shape:
                raise MismatchError(
                    f"{field} of {self.name!r} have shape {arrays[field].shape}",
                    expected=f"{shape} for {n_frames} frames of {n_atoms} atoms",
                )
            finite = np.isfinite(arrays[field]).all(axis=tuple(range(1, len(shape))))
            if not finite.all():
                raise InputError(
                    f"frame {int(np.argmin(finite))} of {self.name!r} has {field} that are not finite",
                    hint="remove the frame or label it again",
                )
        for field, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, field, array)

    @property
    def n_frames(self) -> int:
        """Number of geometries."""
        return len(self.positions)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.atomic_numbers)

    def __len__(self) -> int:
        return self.n_frames

    def __repr__(self) -> str:
        """Sizes and level of theory, without the numbers."""
        labels = " and ".join(name for name in ("energies", "forces") if getattr(self, name) is not None)
        what = f"{labels} of {self.theory}" if labels else "no labels"
        return f"<Frames {self.name!r}: {self.n_frames} geometries of {self.n_atoms} atoms, {what}>"

    def __getitem__(self, index: int | slice | Sequence[int] | NDArray[Any]) -> Frames:
        """The frames of an integer, a slice, indices or a mask.

        Raises
        ------
        InputError
            The index is none of these, or a mask of another length.
        IndexError
            A frame does not exist; it is an InputError too.
        """
        indices = self._indices(index)
        return replace(
            self,
            positions=self.positions[indices],
            energies=None if self.energies is None else self.energies[indices],
            forces=None if self.forces is None else self.forces[indices],
        )

    def _indices(self, index: int | slice | Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
        every = np.arange(self.n_frames)
        if isinstance(index, slice):
            return every[index]
        chosen = np.asarray(index)
        if chosen.size and chosen.dtype.kind not in "iub":
            raise InputError(f"frames are chosen by {chosen.dtype}", expected="integers, a slice or a mask")
        if chosen.dtype.kind == "b" and chosen.shape != every.shape:
            raise InputError(f"frames are chosen by a mask of shape {chosen.shape}", expected=f"shape {every.shape}")
        if chosen.ndim > 1:
            raise InputError(f"frames are chosen by indices of shape {chosen.shape}", expected="one dimension")
        if chosen.dtype.kind == "b":
            return every[chosen]
        wrong = chosen[(chosen < -self.n_frames) | (chosen >= self.n_frames)]
        if wrong.size:
            raise _NoFrameError(
                f"{self.name!r} has no frame {wrong.flat[0]}",
                expected=f"an index below {self.n_frames}, the number of frames",
            )
        return np.atleast_1d(every[chosen.astype(np.int64)])

    def labels(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energies (n_frames,) and forces (n_frames, n_atoms, 3).

        Raises
        ------
        InputError
            One of them is missing.
        """
        if self.energies is None or self.forces is None:
            missing = "energies" if self.energies is None else "forces"
            raise InputError(
                f"the frames of {self.name!r} have no {missing}", hint="label them with a reference engine"
            )
        return self.energies, self.forces

    @classmethod
    def concatenate(cls, parts: Sequence[Frames]) -> Frames:
        """The frames of all parts, one after another, with the name and theory of the first.

        Energies of two levels of theory differ by a constant that no model can learn, so parts of different theories
        are refused.

        Raises
        ------
        MismatchError
            Parts differ in their atoms or level of theory, or only some have labels.
        InputError
            No parts.
        """
        if not parts:
            raise InputError("there are no frames to concatenate", expected="at least one part")
        first = parts[0]
        for index, part in enumerate(parts):
            if not np.array_equal(part.atomic_numbers, first.atomic_numbers):
                raise MismatchError(
                    f"part {index} has different atoms from part 0", hint="concatenate one molecule only"
                )
            if part.theory != first.theory:
                raise MismatchError(
                    f"part {index} is {part.theory!r}, part 0 {first.theory!r}",
                    hint="label all frames at one level; if the difference does not matter, give the parts one theory "
                    "by dataclasses.replace(part, theory=…)",
                )
            if (part.energies is None, part.forces is None) != (first.energies is None, first.forces is None):
                raise MismatchError(f"part {index} has other labels than part 0", hint="label all parts or none")
        return replace(
            first,
            positions=np.concatenate([part.positions for part in parts]),
            energies=_joined([part.energies for part in parts]),
            forces=_joined([part.forces for part in parts]),
        )

    def duplicates(self, tolerance: float = 1e-6) -> list[tuple[int, ...]]:
        """Indices of the frames with the same geometry, group by group; ascending in each group and by first frame.

        Two geometries are the same if all interatomic distances agree within `tolerance` (Å). This finds translated,
        rotated and mirrored copies, but not copies with permuted atoms. A group holds the frames within `tolerance` of
        its first frame.
        """
        first, second = np.triu_indices(self.n_atoms, k=1)
        distances = np.linalg.norm(self.positions[:, first] - self.positions[:, second], axis=-1)
        # If all distances of two frames agree within the tolerance, their sums agree within n_pairs times as much.
        total = distances.sum(axis=1)
        order = np.argsort(total, kind="stable")
        window = tolerance * len(first)
        starts = np.searchsorted(total[order], total - window, side="left")
        ends = np.searchsorted(total[order], total + window, side="right")
        taken = np.zeros(self.n_frames, dtype=bool)
        groups = []
        for frame in range(self.n_frames):
            near = order[starts[frame] : ends[frame]]
            near = near[(near > frame) & ~taken[near]]
            if taken[frame] or not near.size:
                continue
            same = near[(np.abs(distances[near] - distances[frame]) <= tolerance).all(axis=1)]
            if same.size:
                taken[same] = True
                groups.append((frame, *sorted(same.tolist())))
        return groups

    def unique(self, tolerance: float = 1e-6) -> Frames:
        """The frames without the later copies of each geometry (see `duplicates`)."""
        later = [frame for group in self.duplicates(tolerance) for frame in group[1:]]
        return self[np.setdiff1d(np.arange(self.n_frames), later)]

    @classmethod
    def load(cls, path: str | Path, *, r_unit: str = "", e_unit: str = "", group: str = "") -> Frames:
        """Read sGDML npz (``.npz``), extended XYZ (``.xyz``, ``.extxyz``) or HDF5 (``.h5``, ``.hdf5``).

        Other usual names of the arrays, gradients, and the xyz files of CREST, xtb, ORCA, MD17 and QM9 are read too;
        see `openmm_hybrid.data.formats`.

        Parameters
        ----------
        path : path
            A leading ~ is expanded.
        r_unit, e_unit : str
            Units of length ("Ang", "bohr", …) and energy ("kcal/mol", "eV", …), for a file that names none.
        group : str
            Group of an HDF5 file with a group for each molecule, such as SPICE's.

        Raises
        ------
        InputError
            The file is missing, truncated or corrupt; holds pickled objects, a periodic box, unknown units, labels
            without a unit, one key twice, numbers that are not finite, or frames of different atoms. The message names
            file, key and frame.
        """
        from openmm_hybrid.data.formats import naming, read_file

        arguments = read_file(path, r_unit=r_unit, e_unit=e_unit, group=group)
        with naming(expanded(path)):
            return cls(**arguments)

    def save(self, path: str | Path) -> Path:
        """Write in the format of the name's ending, whole or not at all. Returns the path, with ~ expanded.

        Raises
        ------
        InputError
            Unknown ending.
        HybridError
            The file cannot be written; the old file is unchanged.
        """
        from openmm_hybrid.data.formats import write_file

        return write_file(self, path)


def _joined(arrays: list[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else None
