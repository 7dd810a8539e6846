"""MBAR against harmonic oscillators, whose free energies are known: A = (kT/2) ln(k) + constant."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from openmm_hybrid.analysis import mbar, statistical_inefficiency
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.units import BOLTZMANN

KT = BOLTZMANN * 300.0
STIFFNESS = np.array([1.0, 2.0, 4.0, 8.0])  # kcal/mol/Å²


def samples(n_frames: int, seed: int, repeats: int = 1) -> list[NDArray[np.float64]]:
    """Energies in all states of exact samples of each; `repeats` copies of every frame simulate correlation."""
    rng = np.random.default_rng(seed)
    found = []
    for stiffness in STIFFNESS:
        x = np.repeat(rng.normal(scale=np.sqrt(KT / stiffness), size=n_frames), repeats)
        found.append(0.5 * STIFFNESS[:, None] * x**2)
    return found


def test_free_energies_of_harmonic_oscillators() -> None:
    exact = 0.5 * KT * np.log(STIFFNESS)
    found = mbar(samples(2000, seed=1), 300.0)
    assert (np.abs(found.values - exact) < 4 * found.errors + 1e-12).all()
    assert 0 < found.error < 0.02
    assert found.difference == found.values[-1]
    assert 0.1 < found.overlap < 0.5


def test_errors_are_the_scatter_of_repetitions() -> None:
    found = [mbar(samples(300, seed), 300.0) for seed in range(20)]
    scatter = np.std([each.difference for each in found], ddof=1)
    assert 0.6 < np.mean([each.error for each in found]) / scatter < 1.7


def test_what_all_states_share_does_not_matter_and_repeats_are_no_information() -> None:
    plain = samples(1000, seed=2)
    shared = [own + 100.0 * np.random.default_rng(k).normal(size=own.shape[1]) for k, own in enumerate(plain)]
    one, other = mbar(plain, 300.0), mbar(shared, 300.0)
    np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-6)
    repeated = mbar(samples(1000, seed=2, repeats=10), 300.0)
    assert (repeated.n_independent < 1500).all()
    assert repeated.error == pytest.approx(one.error, rel=0.25)


def test_errors_of_slow_series_are_those_of_their_independent_frames() -> None:
    """Sorted frames drift once through each state: 8 are used, and count as n/g. MBAR does not know the order."""
    slow = [own[:, np.argsort(own[0])] for own in samples(400, seed=3)]
    g = np.array([max(statistical_inefficiency(own[k + 1] - own[k]) for k in range(3)) for own in slow])
    assert g.min() > 60
    with pytest.warns(UserWarning, match=r"8 independent frames: 0 \(\d\), 1 \(\d\), 2 .* errors .* multiplied by"):
        found = mbar(slow, 300.0)
    uncorrelated = mbar([own[:, ::50][:, [0, 7, 1, 6, 2, 5, 3, 4]] for own in slow], 300.0)
    np.testing.assert_allclose(found.values, uncorrelated.values, atol=1e-6)
    np.testing.assert_allclose(found.errors, uncorrelated.errors * np.sqrt(g.max() / 50), rtol=1e-5)
    assert found.n_independent.tolist() == np.round(400 / g).tolist()
    assert uncorrelated.n_independent.tolist() == [8, 8, 8, 8]


@pytest.mark.parametrize(
    ("energies", "temperature", "message"),
    [
        ([np.zeros((1, 20))], 300.0, "1 states were given; expected at least two"),
        ([np.zeros((2, 20)), np.zeros((3, 20))], 300.0, r"state 1's frames have shape \(3, 20\)"),
        ([np.zeros((2, 20)), np.zeros((2, 7))], 300.0, "at least 8 frames"),
        ([np.zeros((2, 20)), np.full((2, 20), np.nan)], 300.0, "not finite"),
        ([np.zeros((2, 20)), np.zeros((2, 20))], 0.0, "temperature is 0.0"),
    ],
)
def test_what_cannot_be_used_is_refused(energies: list[NDArray[np.float64]], temperature: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mbar(energies, temperature)
