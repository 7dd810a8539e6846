"""The atoms and internal coordinates with the largest residual forces of a force field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from openmm_hybrid.core import geometry
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.text_table import text_table
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.diagnose.coordinates import candidates, sampled_straight_angles, torsional_displacements
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.residual import bonds_of, residual

Floats = NDArray[np.float64]

_GRADIENTS = {
    "distance": geometry.distance_gradient,
    "angle": geometry.angle_gradient,
    "dihedral": geometry.dihedral_gradient,
}
_RIDGE = 1e-10  # relative to the largest diagonal element, for functions that no frame distinguishes


@final
@dataclass(frozen=True)
class RankRow:
    """One internal coordinate.

    Parameters
    ----------
    kind : {"distance", "angle", "dihedral"}
    atoms : tuple of int
    share : float
        Part of the squares of all residual forces that a smooth function of this coordinate explains.
    torsional_share : float
        The same for the components of the forces along rotations about bonds; NaN if no bond can rotate.
    lower, upper : float
        Sampled range, Å or rad.
    """

    kind: str
    atoms: tuple[int, ...]
    share: float
    torsional_share: float
    lower: float
    upper: float


@final
@dataclass(frozen=True, eq=False)
class Ranking:
    """Result of `rank`.

    Parameters
    ----------
    atom_rmse : (n_atoms,), kcal/mol/Å
        RMS residual force component on each atom.
    torsional_rmse : float, kcal/mol/Å
        RMS component of the residual along rotations about bonds; NaN if no bond can rotate.
    rows : tuple of RankRow
        Coordinates, sorted by `torsional_share`, or by `share` if no bond can rotate; the largest first.
    symbols : tuple of str, (n_atoms,)
    """

    atom_rmse: Floats
    torsional_rmse: float
    rows: tuple[RankRow, ...] = field(repr=False)
    symbols: tuple[str, ...] = field(repr=False)

    def table(self, n_rows: int = 15) -> str:
        """The first coordinates and the atoms with the largest residual, as lines of text."""
        best = [
            (
                f"{row.kind} {self._label(row.atoms)}",
                f"{row.torsional_share:.1%}",
                f"{row.share:.1%}",
                *(f"{value:.2f}" for value in (row.lower, row.upper)),
            )
            for row in self.rows[:n_rows]
        ]
        worst = np.argsort(-self.atom_rmse)[:n_rows]
        lines = [
            text_table(("coordinate", "of torsional forces", "of all forces", "from", "to"), best),
            text_table(
                ("atom", "residual force RMS"),
                [(self._label((int(atom),)), f"{self.atom_rmse[atom]:.2f}") for atom in worst],
            ),
        ]
        return "\n\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        return {
            "atom_rmse": self.atom_rmse.tolist(),
            "torsional_rmse": self.torsional_rmse,
            "rows": [vars(row) for row in self.rows],
        }

    def _label(self, atoms: tuple[int, ...]) -> str:
        return "-".join(f"{self.symbols[atom]}{atom}" for atom in atoms)


def rank(
    forcefield: EnergyModel,
    frames: Frames,
    molecule: Molecule | None = None,
    *,
    reference: EnergyModel | None = None,
    order: int = 6,
    hydrogens: bool = False,
) -> Ranking:
    """Rank atoms, pairs, angles and torsions by the residual forces of a force field.

    For each coordinate q (every pair three bonds apart or more, every angle and torsion) we fit the forces −f′(q) ∂q/∂r
    of a polynomial f of order `order` (in cos φ for a torsion φ) to the residual. The share of the squares that it
    explains is the largest part that one function of this coordinate can correct. Most of the residual comes from
    stiff bonds and angles, so the rows are sorted by the share of the forces along rotations about bonds, which drive
    conformational change.

    Coordinates that move together explain the same forces. To see what a correction leaves, rank again with a `Sum` of
    the force field and the correction.

    Parameters
    ----------
    forcefield : EnergyModel
    frames : Frames
        Labelled frames, or geometries alone if `reference` labels them.
    molecule : Molecule, optional
        Source of the bonds, which are otherwise found from the distances.
    reference : EnergyModel, optional
        Model that labels the frames.
    order : int
        Order of the polynomials, 1 or more.
    hydrogens : bool
        Whether to rank distances of hydrogens. Torsions and angles with hydrogens are always ranked.

    Raises
    ------
    InputError, MismatchError
        As `residual` does; or the order is below 1, or all residual forces are zero.
    """
    from ase.data import chemical_symbols

    if order < 1:
        raise InputError(f"order = {order}", expected="1 or more")
    bonds = bonds_of(frames, molecule)
    _, forces = residual(forcefield, frames, reference=reference).labels()
    if not forces.any():
        raise InputError("there is no residual", expected="a reference that differs from the force field")
    basis = torsional_displacements(frames.positions, bonds)
    torsional = np.einsum("fak,fa->fk", basis, forces.reshape(len(forces), -1))
    moves = basis.reshape(*frames.positions.shape, -1)
    straight = sampled_straight_angles(frames.positions, bonds)
    rows = [
        _row(kind, atoms, frames.positions, forces, (moves, torsional), order)
        for kind, atoms in candidates(frames.atomic_numbers, bonds, hydrogens, straight)
    ]
    rotatable = bool(torsional.size)
    return Ranking(
        atom_rmse=np.sqrt((forces**2).mean(axis=(0, 2))),
        torsional_rmse=float(np.sqrt((torsional**2).mean())) if rotatable else float("nan"),
        rows=tuple(sorted(rows, key=lambda row: -(row.torsional_share if rotatable else row.share))),
        symbols=tuple(chemical_symbols[number] for number in frames.atomic_numbers),
    )


def _row(
    kind: str,
    atoms: tuple[int, ...],
    positions: Floats,
    forces: Floats,
    torsional: tuple[Floats, Floats],
    order: int,
) -> RankRow:
    values, rows = (array[:, 0] for array in _GRADIENTS[kind](positions, [atoms]))
    if kind == "dihedral":
        x, slope = np.cos(values), -np.sin(values)
    else:
        width = max(float(np.ptp(values)), 1e-9)
        x, slope = 2.0 * (values - values.min()) / width - 1.0, np.full_like(values, 2.0 / width)
    basis: Floats = np.stack(
        [chebyshev.chebval(x, chebyshev.chebder(unit)) for unit in np.eye(order + 1)[1:]], axis=1
    )  # f′ of each polynomial
    pull = -slope[:, None, None] * rows  # (n_frames, n_atoms of the coordinate, 3)
    moves, along = torsional
    indices = list(atoms)
    projected = np.einsum("fax,faxk->fk", pull, moves[:, indices])
    return RankRow(
        kind=kind,
        atoms=tuple(map(int, atoms)),
        share=_explained(
            basis, pull.reshape(len(pull), -1), forces[:, indices].reshape(len(pull), -1), (forces**2).sum()
        ),
        torsional_share=_explained(basis, projected, along, (along**2).sum()) if along.size else float("nan"),
        lower=float(values.min()),
        upper=float(values.max()),
    )


def _explained(basis: Floats, pull: Floats, target: Floats, total: float) -> float:
    """Share of `total` that functions (n_frames, n) times pulls (n_frames, k) explain of targets (n_frames, k)."""
    normal = basis.T @ ((pull**2).sum(axis=1)[:, None] * basis)
    right = basis.T @ (pull * target).sum(axis=1)
    largest = normal.diagonal().max()
    if largest <= 0.0:
        return 0.0
    normal += _RIDGE * largest * np.eye(len(normal))
    return float(right @ np.linalg.solve(normal, right) / total)
