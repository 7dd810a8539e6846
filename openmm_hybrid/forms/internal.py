"""Distances, angles and dihedrals of a molecule in torch, with the rows of Wilson's B-matrix.

The equations are those of `openmm_hybrid.core.geometry` and stay finite at the same singular points. The functions here
are scriptable and keep the dtype of the positions.
"""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor


class InternalCoordinates(torch.nn.Module):
    """Coordinates q(R) and ∂q/∂R as one sparse table, because a coordinate depends on few atoms.

    Distances come first, then angles, then dihedrals.

    Parameters
    ----------
    distances, angles, dihedrals : (n, 2), (n, 3), (n, 4)
        Atoms of each coordinate; any of them may be empty.
    n_atoms : int
    """

    def __init__(self, distances: ArrayLike, angles: ArrayLike, dihedrals: ArrayLike, n_atoms: int) -> None:
        super().__init__()
        self.n_atoms = n_atoms
        self.tiny = 1e-12  # Å, below which a length counts as zero
        owners, atoms, first = [], [], 0
        kinds = [
            torch.as_tensor(given, dtype=torch.int64).reshape(-1, width)
            for given, width in ((distances, 2), (angles, 3), (dihedrals, 4))
        ]
        for index in kinds:
            width = index.shape[1]
            owners.append(torch.arange(first, first + len(index)).repeat_interleave(width))
            atoms.append(index.reshape(-1))
            first += len(index)
        self.n_coordinates = first
        self.distances, self.angles, self.dihedrals = (torch.nn.Buffer(index, persistent=False) for index in kinds)
        self.coordinate_of = torch.nn.Buffer(torch.cat(owners), persistent=False)  # coordinate of each row
        self.atom_of = torch.nn.Buffer(
            torch.cat(atoms), persistent=False
        )  # atom whose position each row differentiates by

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Values (n_frames, n_coordinates) in Å and rad, and rows ∂q/∂r (n_frames, n_rows, 3).

        `positions` are (n_frames, n_atoms, 3) in Å; each distance has 2 rows, each angle 3, each dihedral 4.
        """
        frames = positions.shape[0]
        distance, distance_rows = self._distances(positions)
        angle, angle_rows = self._angles(positions)
        dihedral, dihedral_rows = self._dihedrals(positions)
        rows = [distance_rows.reshape(frames, -1, 3), angle_rows.reshape(frames, -1, 3)]
        rows.append(dihedral_rows.reshape(frames, -1, 3))
        return torch.cat([distance, angle, dihedral], dim=1), torch.cat(rows, dim=1)

    def forces(self, slopes: Tensor, rows: Tensor) -> Tensor:
        """−Σ ∂E/∂q ∂q/∂R (n_frames, n_atoms, 3) from slopes ∂E/∂q (n_frames, n_coordinates) and `rows`."""
        pulls = -slopes.index_select(1, self.coordinate_of).unsqueeze(-1) * rows
        forces = torch.zeros([slopes.shape[0], self.n_atoms, 3], dtype=slopes.dtype, device=slopes.device)
        return forces.index_add(1, self.atom_of, pulls)

    @torch.jit.ignore
    def jacobian(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Values (n_frames, n_coordinates) and ∂q/∂R as a dense (n_frames, n_coordinates, 3 n_atoms)."""
        values, rows = self(positions)
        dense = positions.new_zeros(len(positions), self.n_coordinates, self.n_atoms, 3)
        dense[:, self.coordinate_of, self.atom_of] = rows
        return values, dense.flatten(2)

    def _distances(self, r: Tensor) -> tuple[Tensor, Tensor]:
        bond = r[:, self.distances[:, 1]] - r[:, self.distances[:, 0]]
        length = torch.linalg.vector_norm(bond, dim=[-1])
        along = bond / self._safe(length)
        return length, torch.stack([-along, along], dim=2)

    def _angles(self, r: Tensor) -> tuple[Tensor, Tensor]:
        u = r[:, self.angles[:, 0]] - r[:, self.angles[:, 1]]
        v = r[:, self.angles[:, 2]] - r[:, self.angles[:, 1]]
        cross = torch.linalg.cross(u, v)
        sine = torch.linalg.vector_norm(cross, dim=[-1])
        normal = cross / self._safe(sine)
        first = torch.linalg.cross(u, normal) / self._safe((u * u).sum(-1))
        last = torch.linalg.cross(normal, v) / self._safe((v * v).sum(-1))
        return torch.atan2(sine, (u * v).sum(-1)), torch.stack([first, -first - last, last], dim=2)

    def _dihedrals(self, r: Tensor) -> tuple[Tensor, Tensor]:
        index = self.dihedrals
        f = r[:, index[:, 0]] - r[:, index[:, 1]]
        g = r[:, index[:, 1]] - r[:, index[:, 2]]
        h = r[:, index[:, 3]] - r[:, index[:, 2]]
        a, b = torch.linalg.cross(f, g), torch.linalg.cross(h, g)
        length = torch.linalg.vector_norm(g, dim=[-1])
        axis = length.clamp(min=self.tiny)
        value = torch.atan2((torch.linalg.cross(b, a) * g).sum(-1) / axis, (a * b).sum(-1))
        a_term = a / self._safe((a * a).sum(-1))
        b_term = b / self._safe((b * b).sum(-1))
        fg = ((f * g).sum(-1) / axis).unsqueeze(-1) * a_term
        hg = ((h * g).sum(-1) / axis).unsqueeze(-1) * b_term
        ends = length.unsqueeze(-1)
        rows = [-ends * a_term, ends * a_term + fg - hg, hg - fg - ends * b_term, ends * b_term]
        return value, torch.stack(rows, dim=2)

    def _safe(self, values: Tensor) -> Tensor:
        """Values that can divide vectors: zeros become ones."""
        return torch.where(values > self.tiny, values, torch.ones_like(values)).unsqueeze(-1)
