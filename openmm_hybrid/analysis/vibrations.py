"""Vibrational spectra from the velocities of simulations, and the bands in them.

Thomas, Brehm, Fligg, Vöhringer and Kirchner, Phys. Chem. Chem. Phys. 15, 6608 (2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_hybrid.analysis.arguments import array, plain
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.core.units import BOLTZMANN, KJ_PER_KCAL, kelvin, strip

Array = NDArray[np.float64]

_LIGHT = 2.99792458e-5  # speed of light, cm/fs
_INTENSITY = 974.88011  # km/mol of 1 e²/amu in the double harmonic approximation
_VELOCITY_SQUARED = KJ_PER_KCAL * 1e-4  # Å²/fs² of 1 kcal/mol/amu
_FEWEST_FRAMES = 16
_EDGE = 1e-3  # smallest stretch of the corrected axis; it vanishes at the Nyquist frequency if each step is a frame


@final
@dataclass(frozen=True)
class Band:
    """Normal modes with nearby frequencies, and the window of the spectrum that belongs to them.

    Parameters
    ----------
    harmonic : tuple of float, cm⁻¹
        Harmonic wavenumbers of the modes, ascending.
    start, stop : float, cm⁻¹
        Window.
    """

    harmonic: tuple[float, ...]
    start: float
    stop: float

    @property
    def centre(self) -> float:
        """Mean harmonic wavenumber, cm⁻¹."""
        return float(np.mean(self.harmonic))

    @property
    def name(self) -> str:
        """The rounded centre, such as "3653"."""
        return f"{self.centre:.0f}"

    def contains(self, wavenumbers: Array) -> NDArray[np.bool_]:
        """Whether each of some wavenumbers in cm⁻¹ is in the window."""
        return (wavenumbers >= self.start) & (wavenumbers < self.stop)


@final
@dataclass(frozen=True, eq=False)
class Spectrum:
    """A spectrum of several independent runs.

    Parameters
    ----------
    wavenumbers : (n_points,), cm⁻¹
        Rising, with nearly equal distances.
    runs : (n_runs, n_points)
        Density of each run, per cm⁻¹. The mean over the runs is the spectrum.
    """

    wavenumbers: Array = field(repr=False)
    runs: Array = field(repr=False)

    @property
    def density(self) -> Array:
        """Mean density (n_points,) over the runs, per cm⁻¹."""
        return np.asarray(self.runs.mean(axis=0))

    @property
    def steps(self) -> Array:
        """Widths (n_points,) of the points in integrals, cm⁻¹."""
        return np.asarray(np.gradient(self.wavenumbers))

    def below(self, highest: float) -> Spectrum:
        """The part of the spectrum up to a wavenumber in cm⁻¹."""
        inside = self.wavenumbers <= highest
        return Spectrum(self.wavenumbers[inside], self.runs[:, inside])

    def power(self, band: Band) -> float:
        """Integral of the mean density over the window of a band: modes for `vdos`, km/mol for `infrared`."""
        inside = band.contains(self.wavenumbers)
        return float(self.density[inside] @ self.steps[inside])


@final
@dataclass(frozen=True)
class BandValue:
    """Position and power of a band in a spectrum.

    Parameters
    ----------
    position : float, cm⁻¹
        Mean wavenumber in the window, weighted with the density.
    error : float, cm⁻¹
        One standard deviation of `position`; NaN with a single run.
    power : float
        See `Spectrum.power`.
    without : tuple of float, cm⁻¹
        Positions without each run in turn, for errors of functions of several positions.
    """

    position: float
    error: float
    power: float
    without: tuple[float, ...] = field(repr=False)


@final
@dataclass(frozen=True)
class Slope:
    """A straight line through positions at several temperatures.

    Parameters
    ----------
    value : float, cm⁻¹/K
        Negative for a red shift with temperature.
    error : float, cm⁻¹/K
        One standard deviation of `value`.
    """

    value: float
    error: float


def vdos(
    velocities: ArrayLike, masses: ArrayLike, interval: float, *, n_modes: int, timestep: float = 0.0,
    smoothing: float = 0.0,
) -> Spectrum:  # fmt: skip
    """Vibrational density of states from velocities at constant energy.

    D(ν) ∝ Σ_a m_a ∫ ⟨v_a(0)·v_a(t)⟩ exp(−2πiνt) dt, by the Wiener-Khinchin theorem from the Fourier transforms of the
    velocities. A Hann window over the length of the run suppresses the tails of strong bands. Each mode contributes
    equally in the classical ensemble: the integral of the mean over the runs is set to the number of modes.

    Velocity Verlet with the timestep h moves a harmonic oscillator of angular frequency ω with the frequency ω' of
    sin(ω'h/2) = ωh/2. The wavenumbers are corrected by this relation, which is exact for harmonic motion.

    Parameters
    ----------
    velocities : (n_runs, n_frames, n_atoms, 3), Å/fs
    masses : (n_atoms,), amu, or a Quantity
    interval : float, fs, or a Quantity
        Time between two frames. Frequencies above 1/(2 interval) cannot be seen.
    n_modes : int
        Number of vibrations: 3 n_atoms − 6, or 3 n_atoms − 5 for a linear molecule.
    timestep : float, fs, or a Quantity
        Timestep of velocity Verlet; 0 for exact trajectories.
    smoothing : float, cm⁻¹
        Full width at half maximum of a Gaussian with which the spectrum is convolved; 0 for none.

    Raises
    ------
    InputError
        Fewer than 16 frames, another shape, numbers that are not finite, or an interval shorter than the timestep.
    """
    v, m = _checked(velocities, "velocities"), array(masses, "mass")
    if m.shape != v.shape[2:3] or not (m > 0).all() or n_modes < 1:
        raise MismatchError(
            f"{m.shape} masses and {n_modes} modes", expected=f"a mass above zero for each of {v.shape[2]} atoms"
        )
    spectrum = _spectrum(v * np.sqrt(m)[:, None], interval, timestep, smoothing)
    total = float(spectrum.density @ spectrum.steps)
    if not total > 0:
        raise InputError("nothing moves in the runs", expected="velocities of dynamics")
    return Spectrum(spectrum.wavenumbers, n_modes / total * spectrum.runs)


def infrared(
    velocities: ArrayLike, charges: ArrayLike, interval: float, temperature: float, *, timestep: float = 0.0,
    smoothing: float = 0.0,
) -> Spectrum:  # fmt: skip
    """Infrared absorption of one molecule in vacuum from fixed charges, km/mol per cm⁻¹.

    A(ν) = N_A/(12 ε₀ c² kT) S(ν), with S the spectrum of the time derivative of the dipole moment, μ' = Σ_a q_a v_a.
    The spectrum of μ' is ω² times the spectrum of μ: together with the quantum correction factor of the harmonic
    oscillator, ħω/kT/(1 − exp(−ħω/kT)), it makes the absorption of a harmonic molecule at any temperature equal to its
    double harmonic intensity. The mean square of μ' is the integral of S. See `vdos` for window and timestep.

    Parameters
    ----------
    velocities : (n_runs, n_frames, n_atoms, 3), Å/fs
    charges : (n_atoms,), e, or a Quantity
    interval : float, fs, or a Quantity
    temperature : float, K, or a Quantity
        Temperature of the ensemble from which the runs started.
    timestep, smoothing
        See `vdos`.

    Raises
    ------
    InputError, MismatchError
        As in `vdos`.
    """
    v, q = _checked(velocities, "velocities"), array(charges, "charge")
    if q.shape != v.shape[2:3]:
        raise MismatchError(f"charges have shape {q.shape}", expected=f"({v.shape[2]},)")
    moment = np.einsum("a,rfai->rfi", q, v)[:, :, None]
    spectrum = _spectrum(moment, interval, timestep, smoothing)
    thermal = BOLTZMANN * kelvin(temperature) * _VELOCITY_SQUARED  # amu Å²/fs²
    return Spectrum(spectrum.wavenumbers, _INTENSITY / thermal * spectrum.runs)


def bands(harmonic: ArrayLike, *, gap: float = 20.0, margin: float = 100.0) -> tuple[Band, ...]:
    """Bands of harmonic wavenumbers: modes nearer to each other than a gap share one.

    A window ends halfway to the next band, and at most a margin beyond its outermost modes. Imaginary frequencies
    (negative numbers) are left out.

    Parameters
    ----------
    harmonic : (n_modes,), cm⁻¹
    gap, margin : float, cm⁻¹

    Raises
    ------
    InputError
        There is no real frequency, or the gap or margin is not above zero.
    """
    known = np.sort(plain(harmonic, "an array of wavenumbers").ravel())
    known = known[known > 0]
    if not len(known) or not min(gap, margin) > 0:
        raise InputError(f"{len(known)} real frequencies, gap {gap:g}, margin {margin:g}", expected="all above zero")
    groups = np.split(known, np.flatnonzero(np.diff(known) >= gap) + 1)
    middles = [0.5 * (low[-1] + high[0]) for low, high in pairwise(groups)]
    starts, stops = [0.0, *middles], [*middles, np.inf]
    return tuple(
        Band(tuple(group.tolist()), float(max(start, group[0] - margin)), float(min(stop, group[-1] + margin)))
        for group, start, stop in zip(groups, starts, stops, strict=True)
    )


def band_value(spectrum: Spectrum, band: Band) -> BandValue:
    """Position and power of a band, with a jackknife error over the runs.

    The position is Σ_r Σ_ν ν D_r(ν) / Σ_r Σ_ν D_r(ν) over the window. With x_k the position without run k of K, its
    variance is (K − 1)/K Σ_k (x_k − x̄)² (Efron, *The Jackknife, the Bootstrap and Other Resampling Plans*, SIAM, 1982).

    Raises
    ------
    InputError
        The spectrum has no power in the window.
    """
    inside = band.contains(spectrum.wavenumbers)
    weights = spectrum.runs[:, inside] * spectrum.steps[inside]
    power = weights.sum(axis=1)
    first = weights @ spectrum.wavenumbers[inside]
    if not power.sum() > 0:
        raise InputError(f"the spectrum is empty from {band.start:.0f} to {band.stop:.0f} cm⁻¹")
    without, error = np.zeros(0), float("nan")
    if len(power) > 1:
        without = (first.sum() - first) / (power.sum() - power)
        error = _jackknife(without)
    return BandValue(float(first.sum() / power.sum()), error, spectrum.power(band), tuple(without.tolist()))


def temperature_slope(temperatures: ArrayLike, values: Sequence[BandValue]) -> Slope:
    """Slope of a band's position against temperature, by weighted least squares.

    The weights are 1/error². The error of the slope is a jackknife over the runs: run k at one temperature may be
    correlated with run k at another one, which makes the slope more precise than the positions.

    Parameters
    ----------
    temperatures : (n_temperatures,), K
    values : (n_temperatures,) BandValue
        Positions from equal numbers of runs.

    Raises
    ------
    InputError
        Fewer than two different temperatures.
    MismatchError
        The numbers of values, or of runs, differ.
    """
    t = array(temperatures, "temperature")
    if t.ndim != 1 or len(np.unique(t)) < 2:
        raise InputError(f"the slope of {t.size} temperatures", expected="two or more different ones")
    if len(values) != len(t) or len({len(value.without) for value in values}) != 1:
        raise MismatchError("values and temperatures, or the runs of the values, differ in number")
    errors = np.array([value.error for value in values])
    usable = np.isfinite(errors).all() and (errors > 0).all()
    weights = errors**-2.0 if usable else np.ones(len(t))
    centred = t - np.average(t, weights=weights)
    factors = weights * centred / (weights * centred**2).sum()
    value = float(factors @ [value.position for value in values])
    replicas = factors @ np.array([value.without for value in values])
    return Slope(value, _jackknife(replicas) if len(replicas) else float("nan"))


def _jackknife(without: Array) -> float:
    n = len(without)
    return float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))


def _checked(velocities: ArrayLike, what: str) -> Array:
    v = plain(velocities, what)
    if v.ndim != 4 or v.shape[-1] != 3 or not v.shape[0] or v.shape[1] < _FEWEST_FRAMES:
        raise InputError(
            f"{what} have shape {v.shape}", expected=f"(n_runs, n_frames, n_atoms, 3), {_FEWEST_FRAMES} frames or more"
        )
    if not np.isfinite(v).all():
        raise InputError(f"{what} hold a number that is not finite")
    return v


def _spectrum(signals: Array, interval: float, timestep: float, smoothing: float) -> Spectrum:
    """Spectra of signals (n_runs, n_frames, n, 3), summed over the last two axes; their integral is the mean square."""
    dt, h, width = float(strip(interval, "time")), float(strip(timestep, "time")), float(smoothing)
    if not (dt > 0 and 0 <= h <= dt and width >= 0):
        raise InputError(
            f"interval = {dt:g} fs, timestep = {h:g} fs, smoothing = {width:g} cm⁻¹",
            expected="an interval above zero, a timestep of at most the interval, and no negative smoothing",
        )
    n = signals.shape[1]
    window = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2
    window /= np.sqrt(np.mean(window**2))
    lag = np.arange(2 * n)
    lag = np.minimum(lag, 2 * n - lag) * dt
    broadening = np.exp(-0.5 * (np.pi * _LIGHT * width / np.sqrt(2.0 * np.log(2.0)) * lag) ** 2)
    runs = []
    for signal in signals:  # one after another, which needs less memory
        amplitudes = np.fft.rfft(signal * window[:, None, None], 2 * n, axis=0)
        correlation = np.fft.irfft((np.abs(amplitudes) ** 2).sum(axis=(1, 2)), 2 * n)
        runs.append(np.fft.rfft(correlation * broadening).real)
    measured = np.fft.rfftfreq(2 * n, dt) / _LIGHT
    angle = np.pi * _LIGHT * h * measured  # ω'h/2, at most π/2
    axis = np.sin(angle) / (np.pi * _LIGHT * h) if h else measured
    inside = np.cos(angle) > _EDGE
    axis, values = axis[inside], np.maximum(np.array(runs)[:, inside], 0.0)
    # One-sided density: 2 |FFT|² dt/n per frequency, times the stretch of the axis.
    return Spectrum(axis, values * 2.0 * dt * _LIGHT / n / np.cos(angle[inside]))
