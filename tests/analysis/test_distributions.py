"""Densities, weights and divergences against analytic results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import i0, i1
from scipy.stats import entropy, vonmises

from openmm_hybrid.analysis import Density, boltzmann_weights, dihedral_density, jensen_shannon
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.geometry import dihedral
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.data.frames import Frames


def of(*probabilities: float) -> Density:
    """A density with these probabilities of its bins."""
    n = len(probabilities)
    width = 2 * np.pi / n
    return Density(-np.pi + width * (np.arange(n) + 0.5), np.array(probabilities) / width)


@pytest.mark.parametrize("method", ["kde", "histogram"])
def test_density_of_a_von_mises_sample(method: str) -> None:
    """Around ±π, where a grid that does not close would show."""
    sample = vonmises(kappa=4.0, loc=np.pi).rvs(100_000, random_state=np.random.default_rng(0))
    density = dihedral_density(sample, method=method, bandwidth=0.05)
    assert density.probabilities.sum() == pytest.approx(1.0, abs=1e-12)
    expected = vonmises(kappa=4.0, loc=np.pi).pdf(density.grid)
    np.testing.assert_allclose(density.values, expected, atol=0.03)
    assert density.values[0] == pytest.approx(density.values[-1], rel=0.05)


def test_kernel_is_the_von_mises_density() -> None:
    density = dihedral_density([0.7], n_bins=360, bandwidth=0.3)
    np.testing.assert_allclose(density.values, vonmises(kappa=0.3**-2, loc=0.7).pdf(density.grid), rtol=1e-6)


def test_joint_density_and_marginals() -> None:
    rng = np.random.default_rng(1)
    pair = rng.vonmises(0.5, 3.0, size=(4000, 2)) * [1, -1]
    joint = dihedral_density(pair)
    assert joint.values.shape == (72, 72)
    assert joint.probabilities.sum() == pytest.approx(1.0, abs=1e-12)
    for axis in (0, 1):
        single = dihedral_density(pair[:, axis])
        np.testing.assert_allclose(joint.marginal(axis).values, single.values, atol=1e-6)
    peak = np.unravel_index(joint.values.argmax(), joint.values.shape)
    assert joint.grid[peak[0]] > 0 > joint.grid[peak[1]]
    with pytest.raises(InputError, match="marginal"):
        joint.marginal(0).marginal(0)


def test_reweighting_a_uniform_sample() -> None:
    """p ∝ exp(κ cos φ) from uniform φ: ⟨cos φ⟩ = I₁(κ)/I₀(κ), and the profile is −kTκ cos φ."""
    phi = np.random.default_rng(2).uniform(-np.pi, np.pi, 200_000)
    temperature, kappa = 300.0, 1.5
    weights = boltzmann_weights(np.full(len(phi), 4.0), -BOLTZMANN * temperature * kappa * np.cos(phi), temperature)
    assert weights.values.sum() == pytest.approx(1.0, abs=1e-12)
    assert weights.values @ np.cos(phi) == pytest.approx(i1(kappa) / i0(kappa), abs=0.005)
    kish = i0(kappa) ** 2 / i0(2 * kappa)  # ⟨w⟩²/⟨w²⟩
    assert weights.effective_samples / len(phi) == pytest.approx(kish, rel=0.01)
    density = dihedral_density(phi, method="histogram", weights=weights.values)
    profile = density.free_energy(temperature)
    assert profile.min() == 0.0
    expected = -BOLTZMANN * temperature * kappa * (np.cos(density.grid) - np.cos(density.grid).max())
    np.testing.assert_allclose(profile, expected, atol=0.1)


def test_weights_of_equal_energies_and_of_far_ones() -> None:
    same = boltzmann_weights([1.0, 2.0, 3.0], [11.0, 12.0, 13.0], 300.0)
    np.testing.assert_allclose(same.values, 1 / 3, rtol=1e-12)
    assert same.effective_samples == pytest.approx(3.0)
    far = boltzmann_weights([0.0, 0.0], [-1e6, 1e6], 300.0)
    np.testing.assert_array_equal(far.values, [1.0, 0.0])
    with pytest.raises(MismatchError):
        boltzmann_weights([1.0], [1.0, 2.0], 300.0)
    with pytest.raises(InputError):
        boltzmann_weights([1.0], [np.inf], 300.0)


def test_weights_that_rest_on_few_frames_warn() -> None:
    target = np.zeros(100)
    boltzmann_weights(np.zeros(100), target, 300.0)
    target[7] = -10.0
    with pytest.warns(UserWarning, match=r"100 reweighted frames depend on 1\.0 of them"):
        boltzmann_weights(np.zeros(100), target, 300.0)


def test_jensen_shannon_against_its_definition() -> None:
    p, q = np.array([0.5, 0.5, 0.0, 0.0]), np.array([0.25, 0.25, 0.25, 0.25])
    middle = (p + q) / 2
    expected = 0.5 * entropy(p, middle, base=2) + 0.5 * entropy(q, middle, base=2)
    assert jensen_shannon(of(*p), of(*q)) == pytest.approx(expected, rel=1e-12)
    # By hand: ½·log₂(4/3) + ½·[½·log₂(2/3) + ½·1] = ½ (log₂ 4/3 + ½ log₂ 4/3)  = ¾ log₂ 4/3
    assert expected == pytest.approx(0.75 * np.log2(4 / 3), rel=1e-12)


def test_jensen_shannon_of_equal_and_separate_densities() -> None:
    assert jensen_shannon(of(0.3, 0.7, 0.0), of(0.3, 0.7, 0.0)) == pytest.approx(0.0, abs=1e-12)
    assert jensen_shannon(of(1.0, 0.0), of(0.0, 1.0)) == pytest.approx(1.0, rel=1e-12)
    with pytest.raises(MismatchError):
        jensen_shannon(of(1.0, 0.0), of(1.0, 0.0, 0.0))


def test_ethanol_at_500_k(reference_data: Callable[[str], Path]) -> None:
    """MD17 ethanol, C-C-O-H: minima at trans and both gauche, barriers of 1 to 2 kcal/mol between."""
    with np.load(reference_data("md17_ethanol.npz"), allow_pickle=False) as data:
        frames = Frames(data["z"], data["R"])
    density = dihedral_density(dihedral(frames.positions, [[1, 0, 2, 8]])[:, 0])
    profile = density.free_energy(500.0)
    degrees = np.degrees(density.grid)
    assert 50 < abs(degrees[profile.argmin()]) < 75
    assert profile[np.abs(degrees) < 10].max() > profile[(degrees > 110) & (degrees < 130)].max() > 0.5
    assert profile[np.abs(degrees) > 170].min() < 0.5


@pytest.mark.parametrize(
    "arguments",
    [
        {"dihedrals": np.zeros((3, 3))},
        {"dihedrals": []},
        {"dihedrals": [np.nan]},
        {"dihedrals": [0.0], "method": "splines"},
        {"dihedrals": [0.0], "bandwidth": 0.0},
        {"dihedrals": [0.0], "n_bins": 1},
        {"dihedrals": [0.0], "weights": [0.0]},
        {"dihedrals": [0.0, 1.0], "weights": [-1.0, 2.0]},
        {"dihedrals": [0.0, 1.0], "weights": [1.0]},
    ],
)
def test_bad_input_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(InputError):
        dihedral_density(**arguments)  # type: ignore[arg-type]
