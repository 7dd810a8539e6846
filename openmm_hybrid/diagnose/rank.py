"""What a force field misses most: atoms, and the internal coordinates whose functions would mend it."""

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
from openmm_hybrid.diagnose.candidates import candidates
from openmm_hybrid.diagnose.motions import turns
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.models.residual import bonds_of, residual

Floats = NDArray[np.float64]

_GRADIENTS = {
    "distance": geometry.distance_gradient,
    "angle": geometry.angle_gradient,
    "dihedral": geometry.dihedral_gradient,
}
_RIDGE = 1e-10  # of the largest diagonal element: for functions that the frames do not tell apart


@final
@dataclass(frozen=True)
class RankRow:
    """One internal coordinate.

    Parameters
    ----------
    kind : {"distance", "angle", "dihedral"}
    atoms : tuple of int
    share : float
        Part of the squares of all residual forces that a smooth function of this coordinate takes away.
    turning_share : float
        The same of what is left of the forces and of the function's on turns about bonds; NaN where nothing turns.
    lower, upper : float
        Sampled range, Å or rad.
    """

    kind: str
    atoms: tuple[int, ...]
    share: float
    turning_share: float
    lower: float
    upper: float


@final
@dataclass(frozen=True, eq=False)
class Ranking:
    """Result of `rank`.

    Parameters
    ----------
    atom_rmse : (n_atoms,), kcal/mol/Å
        RMS residual force component of each atom.
    turning_rmse : float, kcal/mol/Å
        RMS component of the residual along turns about bonds; NaN where nothing turns.
    rows : tuple of RankRow
        The best first, by `turning_share` where something turns, else by `share`.
    symbols : tuple of str, (n_atoms,)
    """

    atom_rmse: Floats
    turning_rmse: float
    rows: tuple[RankRow, ...] = field(repr=False)
    symbols: tuple[str, ...] = field(repr=False)

    def table(self, n_rows: int = 15) -> str:
        """The best coordinates and the worst atoms as lines of text."""
        best = [
            (
                f"{row.kind} {self._label(row.atoms)}",
                f"{row.turning_share:.1%}",
                f"{row.share:.1%}",
                *(f"{value:.2f}" for value in (row.lower, row.upper)),
            )
            for row in self.rows[:n_rows]
        ]
        worst = np.argsort(-self.atom_rmse)[:n_rows]
        lines = [
            text_table(("coordinate", "of turning forces", "of all forces", "from", "to"), best),
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
            "turning_rmse": self.turning_rmse,
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
    """Which atoms, pairs and torsions a force field misses most, from the residual forces.

    For each coordinate q (every pair three bonds apart or more, every angle and torsion) the forces −f′(q) ∂q/∂r of a
    polynomial f of order `order` (of cos φ for a torsion φ) are fitted to the residual; its share of the squares is
    what one function of this coordinate could mend. Most of the residual are stiff bonds and angles, so the shares of
    what turns about bonds leave them out; what moves conformations is seen there.

    Coordinates that move together share what they explain: rank again with a `Sum` of force field and `distill` to see
    what a correction leaves.

    Parameters
    ----------
    forcefield : EnergyModel
    frames : Frames
        Labelled, or geometries alone where `reference` labels them.
    molecule : Molecule, optional
        Gives the bonds; else they are taken from the distances.
    reference : EnergyModel, optional
        A model as the reference.
    order : int
        1 or more.
    hydrogens : bool
        Rank distances of hydrogens too. Torsions and angles with hydrogens are always ranked.

    Raises
    ------
    InputError, MismatchError
        As `residual` does; an order below 1; all residual forces are zero.
    """
    from ase.data import chemical_symbols

    if order < 1:
        raise InputError(f"order = {order}", expected="1 or more")
    bonds = bonds_of(frames, molecule)
    _, forces = residual(forcefield, frames, reference=reference).labels()
    if not forces.any():
        raise InputError("there is no residual", expected="a reference that differs from the force field")
    basis = turns(frames.positions, bonds)
    turning = np.einsum("fak,fa->fk", basis, forces.reshape(len(forces), -1))
    moves = basis.reshape(*frames.positions.shape, -1)
    rows = [
        _row(kind, atoms, frames.positions, forces, (moves, turning), order)
        for kind, atoms in candidates(frames.atomic_numbers, bonds, hydrogens)
    ]
    turns_exist = bool(turning.size)
    return Ranking(
        atom_rmse=np.sqrt((forces**2).mean(axis=(0, 2))),
        turning_rmse=float(np.sqrt((turning**2).mean())) if turns_exist else float("nan"),
        rows=tuple(sorted(rows, key=lambda row: -(row.turning_share if turns_exist else row.share))),
        symbols=tuple(chemical_symbols[number] for number in frames.atomic_numbers),
    )


def _row(
    kind: str,
    atoms: tuple[int, ...],
    positions: Floats,
    forces: Floats,
    turning: tuple[Floats, Floats],
    order: int,
) -> RankRow:
    values, rows = (each[:, 0] for each in _GRADIENTS[kind](positions, [atoms]))
    if kind == "dihedral":
        x, slope = np.cos(values), -np.sin(values)
    else:
        width = max(float(np.ptp(values)), 1e-9)
        x, slope = 2.0 * (values - values.min()) / width - 1.0, np.full_like(values, 2.0 / width)
    basis: Floats = np.stack(
        [chebyshev.chebval(x, chebyshev.chebder(unit)) for unit in np.eye(order + 1)[1:]], axis=1
    )  # f′ of each polynomial
    pull = -slope[:, None, None] * rows  # (n_frames, n_atoms of the coordinate, 3)
    moves, along = turning
    own = list(atoms)
    turned = np.einsum("fax,faxk->fk", pull, moves[:, own])
    return RankRow(
        kind=kind,
        atoms=tuple(map(int, atoms)),
        share=_explained(basis, pull.reshape(len(pull), -1), forces[:, own].reshape(len(pull), -1), (forces**2).sum()),
        turning_share=_explained(basis, turned, along, (along**2).sum()) if along.size else float("nan"),
        lower=float(values.min()),
        upper=float(values.max()),
    )


def _explained(basis: Floats, pull: Floats, target: Floats, total: float) -> float:
    """Share of `total` that functions (n_frames, n) times pulls (n_frames, k) take from targets (n_frames, k)."""
    normal = basis.T @ ((pull**2).sum(axis=1)[:, None] * basis)
    right = basis.T @ (pull * target).sum(axis=1)
    largest = normal.diagonal().max()
    if largest <= 0.0:
        return 0.0
    normal += _RIDGE * largest * np.eye(len(normal))
    return float(right @ np.linalg.solve(normal, right) / total)
