"""Spectra of motions with known frequencies, and bands with known positions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import constants

from openmm_hybrid.analysis import BandValue, Spectrum, band_value, bands, infrared, temperature_slope, vdos
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN

LIGHT = constants.speed_of_light * 1e-13  # cm/fs


def vibrations(wavenumbers: list[float], n_frames: int = 4000, interval: float = 2.0) -> NDArray[np.float64]:
    """Velocities (2, n_frames, n_atoms, 3): each atom oscillates along x with its wavenumber and amplitude 1."""
    times = interval * np.arange(n_frames)
    v = np.zeros((2, n_frames, len(wavenumbers), 3))
    for run, phase in enumerate((0.3, 1.9)):
        v[run, :, :, 0] = np.cos(2 * np.pi * LIGHT * np.outer(times, wavenumbers) + phase)
    return v


def test_each_vibration_is_a_peak_of_its_frequency_and_share() -> None:
    spectrum = vdos(vibrations([400.0, 1500.0, 3650.0]), [1.0, 2.0, 1.0], 2.0, n_modes=4)
    assert spectrum.density @ spectrum.steps == pytest.approx(4.0)
    for band, share in zip(bands([400.0, 1500.0, 3650.0]), (1.0, 2.0, 1.0), strict=True):
        value = band_value(spectrum, band)
        assert value.position == pytest.approx(band.centre, abs=0.01)
        assert value.power == pytest.approx(share, rel=1e-3)  # mass times squared amplitude


def test_the_frequency_of_verlet_is_corrected() -> None:
    omega, h = 2 * np.pi * LIGHT * 3650.0, 1.0
    x, v, track = 1.0, 0.0, []
    for _ in range(8000):  # velocity Verlet
        half = v - 0.5 * h * omega**2 * x
        x = x + h * half
        v = half - 0.5 * h * omega**2 * x
        track.append(v)
    velocities = np.array(track)[::2].reshape(1, -1, 1, 1) * [1.0, 0.0, 0.0]
    (band,) = bands([3650.0])
    found = [band_value(vdos(velocities, [1.0], 2.0, n_modes=1, timestep=t), band).position for t in (0.0, h)]
    assert found[0] == pytest.approx(2 * np.arcsin(omega * h / 2) / (2 * np.pi * LIGHT * h), abs=0.01)
    assert found[0] > 3720.0
    assert found[1] == pytest.approx(3650.0, abs=0.01)


def test_smoothing_has_its_width_and_keeps_the_power() -> None:
    plain, smooth = (vdos(vibrations([1500.0]), [1.0], 2.0, n_modes=1, smoothing=width) for width in (0.0, 40.0))
    assert smooth.density @ smooth.steps == pytest.approx(plain.density @ plain.steps)
    above = smooth.wavenumbers[smooth.density > 0.5 * smooth.density.max()]
    assert above[-1] - above[0] == pytest.approx(40.0, abs=2.0)


def test_infrared_intensities_are_those_of_the_double_harmonic_approximation() -> None:
    # A mode of reduced mass μ with dμ/dx = q has A = N_A q²/(12 ε₀ c² μ). Equipartition: ⟨v²⟩ = kT/μ.
    mass, charge, temperature = 2.0, 0.4, 300.0
    squared = BOLTZMANN * temperature * 4.184e-4 / mass  # Å²/fs²: 1 kcal/mol/amu = 4.184e6 m²/s² = 4.184e-4 Å²/fs²
    v = np.sqrt(2 * squared) * vibrations([1500.0])
    spectrum = infrared(v, [charge], 2.0, temperature)
    expected = constants.N_A * (charge * constants.e) ** 2 / (
        12 * constants.epsilon_0 * constants.speed_of_light**2 * mass * constants.atomic_mass
    )  # fmt: skip
    assert band_value(spectrum, bands([1500.0])[0]).power == pytest.approx(expected / 1e3, rel=1e-3)


def test_bands_and_their_windows() -> None:
    low, high, last = bands([3000.0, 400.0, 415.0, -50.0, 1000.0], gap=20.0, margin=300.0)
    assert low.harmonic == (400.0, 415.0)
    assert (low.start, low.stop) == (100.0, 0.5 * (415.0 + 1000.0))
    assert (high.start, high.stop) == (0.5 * (415.0 + 1000.0), 1300.0)
    assert (last.start, last.stop, last.name) == (2700.0, 3300.0, "3000")
    assert len(bands([400.0, 420.0], gap=20.0)) == 2
    with pytest.raises(InputError, match="0 real"):
        bands([-10.0])


def peaks(positions: list[float], heights: list[float]) -> Spectrum:
    axis = np.arange(0.0, 400.0)
    return Spectrum(
        axis, np.array([h * np.exp(-0.5 * (axis - x) ** 2) for x, h in zip(positions, heights, strict=True)])
    )


def test_the_error_of_a_position_is_the_one_of_the_runs() -> None:
    positions = np.array([200.0, 203.0, 198.0, 201.0, 199.0])
    value = band_value(peaks(positions.tolist(), [1.0] * 5), bands([200.0])[0])
    assert value.position == pytest.approx(positions.mean())
    assert value.error == pytest.approx(positions.std(ddof=1) / np.sqrt(5))
    single = band_value(peaks([200.0], [1.0]), bands([200.0])[0])
    assert np.isnan(single.error)
    with pytest.raises(InputError, match="empty"):
        band_value(peaks([200.0], [0.0]), bands([200.0])[0])


def test_slopes_use_the_correlation_of_the_runs() -> None:
    temperatures, offsets = [100.0, 200.0, 300.0, 400.0], np.array([0.0, 4.0, -3.0, 1.0, -2.0])
    (band,) = bands([200.0])
    values = [band_value(peaks((200.0 - 0.05 * t + offsets).tolist(), [1.0] * 5), band) for t in temperatures]
    slope = temperature_slope(temperatures, values)
    assert slope.value == pytest.approx(-0.05, abs=1e-6)
    assert slope.error < 1e-6  # the same offsets at each temperature leave the slope exact
    uneven = [BandValue(x, e, 1.0, (x, x)) for x, e in zip((1.0, 2.0, 9.0), (1.0, 1.0, 100.0), strict=True)]
    expected = np.polyfit([1.0, 2.0, 3.0], [1.0, 2.0, 9.0], 1, w=[1.0, 1.0, 0.01])[0]
    assert temperature_slope([1.0, 2.0, 3.0], uneven).value == pytest.approx(expected)
    with pytest.raises(InputError, match="two or more"):
        temperature_slope([300.0], values[:1])
    with pytest.raises(MismatchError, match="differ in number"):
        temperature_slope([100.0, 200.0], values)


def test_wrong_arguments_are_refused() -> None:
    v = vibrations([400.0])
    for wrong in (v[0], v[:, :10], np.where(v > 0.9, np.nan, v)):
        with pytest.raises(InputError, match="velocities"):
            vdos(wrong, [1.0], 2.0, n_modes=1)
    with pytest.raises(MismatchError, match="mass above zero"):
        vdos(v, [1.0, 1.0], 2.0, n_modes=1)
    with pytest.raises(MismatchError, match="charges"):
        infrared(v, [1.0, 1.0], 2.0, 300.0)
    with pytest.raises(InputError, match="interval"):
        vdos(v, [1.0], 2.0, n_modes=1, timestep=4.0)
    with pytest.raises(InputError, match="nothing moves"):
        vdos(0 * v, [1.0], 2.0, n_modes=1)
