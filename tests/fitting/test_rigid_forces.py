"""Forces on the manifold of constraints: analytic cases, and a parametrisation without the constrained lengths."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid import Frames
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.fitting.rigid_forces import rigid_errors, tangent_forces
from tests.helpers.boxes import BONDS
from tests.helpers.classical_ethanol import forcefield, frames
from tests.helpers.peroxides import changed, trioxidane
from tests.helpers.peroxides import frames as labelled

HBONDS = [(0, 3), (0, 4), (0, 5), (1, 6), (1, 7), (2, 8)]


def test_diatomic() -> None:
    """The pull along the bond vanishes; the common force and what is across the bond stay."""
    positions = np.array([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    forces = np.array([[[-3.0, 1.0, 2.0], [5.0, -1.0, 4.0]]])
    expected = [[[1.0, 1.0, 2.0], [1.0, -1.0, 4.0]]]
    np.testing.assert_allclose(tangent_forces(positions, forces, [(0, 1)]), expected, atol=1e-14)


@pytest.mark.parametrize("bonds", [HBONDS, BONDS, BONDS[:1]])
def test_it_is_the_orthogonal_projection(bonds: list[tuple[int, int]]) -> None:
    """No bond is stretched to first order, what is removed is orthogonal, and a second projection changes nothing."""
    r = frames(4)
    f = np.random.default_rng(0).normal(size=r.shape)
    left = tangent_forces(r, f, bonds)
    i, j = np.array(bonds).T
    lengths = [np.linalg.norm((r + step * left)[:, i] - (r + step * left)[:, j], axis=-1) for step in (-1e-6, 1e-6)]
    np.testing.assert_allclose((lengths[1] - lengths[0]) / 2e-6, 0.0, atol=1e-9)
    np.testing.assert_allclose(((f - left) * left).sum(axis=(1, 2)), 0.0, atol=1e-12)
    np.testing.assert_allclose(tangent_forces(r, left, bonds), left, atol=1e-12)
    np.testing.assert_allclose(left.sum(axis=1), f.sum(axis=1), atol=1e-12)  # constraints do not push the molecule


def test_any_function_of_the_lengths_alone_drops_out() -> None:
    """By finite differences: adding U(lengths) to an energy does not change its forces on the manifold."""
    r, step = frames(1), 1e-5
    i, j = np.array(HBONDS).T

    def energy(x: np.ndarray) -> float:
        lengths = np.linalg.norm(x[0, i] - x[0, j], axis=-1)
        return float(np.sum(np.cos(3.0 * lengths)) + lengths[0] * lengths[4] ** 2)

    slopes = np.zeros_like(r)
    for index in np.ndindex(r.shape):
        moved = np.zeros_like(r)
        moved[index] = step
        slopes[index] = (energy(r + moved) - energy(r - moved)) / (2 * step)
    assert np.abs(slopes).max() > 1.0
    np.testing.assert_allclose(tangent_forces(r, -slopes, HBONDS), 0.0, atol=1e-8)


def test_without_bonds_nothing_is_removed() -> None:
    r = frames(2)
    np.testing.assert_array_equal(tangent_forces(r, r, np.zeros((0, 2))), r)


def test_impossible_constraints_are_refused() -> None:
    r = np.zeros((1, 2, 3))
    with pytest.raises(InputError, match="cannot all be constrained"):
        tangent_forces(r, np.ones_like(r), [(0, 1)])
    with pytest.raises(InputError, match="cannot all be constrained"):
        tangent_forces(frames(1), frames(1), [(0, 1), (1, 0)])


def test_errors_of_wrong_bonds_to_hydrogen_are_not_counted() -> None:
    """A model whose only fault is the length of X-H bonds errs with flexible bonds and not with rigid ones."""
    right = forcefield()
    values = right.parameters.values.copy()
    light = [k for k, name in enumerate(right.parameters.names) if name.startswith("bonds/") and "H" in name]
    values[[k for k in light if right.parameters.names[k].endswith("/r0")]] += 0.02
    wrong, positions = right.with_values(values), frames(10)
    energies, forces = right.predict(positions)
    data = Frames(right.atomic_numbers, positions, energies, forces, name="ethanol")
    table = rigid_errors(wrong, data)
    assert table is not None
    assert np.sqrt(np.mean((wrong.predict(positions)[1] - forces) ** 2)) > 1.0
    assert table.force_max < 1e-9
    assert np.isnan(table.energy_rmse)
    assert table.n_frames == 10


def test_a_fit_reports_them() -> None:
    data = labelled(changed(trioxidane(), k=1.2), 40, noise=0.04)
    result = oh.fit(trioxidane(), data, n_train=30, n_test=10, md_steps=0, progress=False)
    assert result.rigid is not None
    assert result.test is not None
    assert 0.0 < result.rigid.force_rmse < result.test.force_rmse
    assert "trioxidane test, rigid X-H" in result.table()
    assert result.as_dict()["molecules"]["trioxidane"]["rigid"]["force_rmse"] == result.rigid.force_rmse
    alone = oh.fit(trioxidane(), data, n_train=30, n_test=0, md_steps=0, progress=False)
    assert alone.rigid is None
    assert "rigid" not in alone.table()
