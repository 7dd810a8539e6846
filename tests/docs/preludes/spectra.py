"""Velocities of two oscillating atoms, as if from a simulation."""

import numpy as np

masses = np.array([12.0, 16.0])
harmonic = np.array([400.0, 1500.0])
_times = 2.0 * np.arange(2000)  # fs
_phases = np.array([0.0, 1.0, 2.0])[:, None, None]
velocities = np.zeros((3, len(_times), 2, 3))  # Å/fs
velocities[..., 0] = 0.01 * np.cos(2 * np.pi * 2.998e-5 * _times[:, None] * harmonic + _phases)
