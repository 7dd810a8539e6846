"""Figures of densities, distances, errors, frequencies, learning curves, spectra and torsion profiles, as PNG or SVG.

The functions draw results of `openmm_hybrid.analysis` and return a `matplotlib.figure.Figure`.
"""

from openmm_hybrid.figures.density import density_figure
from openmm_hybrid.figures.error_plots import force_error_figure
from openmm_hybrid.figures.frequencies import frequency_figure
from openmm_hybrid.figures.learning_curve import learning_curve_figure
from openmm_hybrid.figures.relabel import distance_figure, transfer_figure
from openmm_hybrid.figures.spectra import spectra_figure
from openmm_hybrid.figures.style import save_figure
from openmm_hybrid.figures.table2 import table2_figure
from openmm_hybrid.figures.torsion_profile import torsion_profile_figure

__all__ = [
    "density_figure",
    "distance_figure",
    "force_error_figure",
    "frequency_figure",
    "learning_curve_figure",
    "save_figure",
    "spectra_figure",
    "table2_figure",
    "torsion_profile_figure",
    "transfer_figure",
]
