"""Figures of densities, distances, errors, frequencies, learning curves, spectra, structures, surfaces and profiles.

The functions draw results of `openmm_hybrid.analysis` with matplotlib and return a `matplotlib.figure.Figure`, for PNG
or SVG files.
"""

from openmm_hybrid.figures.density import density_figure, dihedral_figure
from openmm_hybrid.figures.error_plots import force_error_figure
from openmm_hybrid.figures.frequencies import frequency_figure
from openmm_hybrid.figures.learning_curve import learning_curve_figure
from openmm_hybrid.figures.pair_distances import pair_figure
from openmm_hybrid.figures.relabel import distance_figure, transfer_figure
from openmm_hybrid.figures.set_errors import set_error_figure
from openmm_hybrid.figures.spectra import spectra_figure
from openmm_hybrid.figures.structures import level_figure, structure_figure
from openmm_hybrid.figures.style import save_figure
from openmm_hybrid.figures.surface import surface_figure
from openmm_hybrid.figures.table2 import table2_figure
from openmm_hybrid.figures.torsion_profile import torsion_profile_figure

__all__ = [
    "density_figure",
    "dihedral_figure",
    "distance_figure",
    "force_error_figure",
    "frequency_figure",
    "learning_curve_figure",
    "level_figure",
    "pair_figure",
    "save_figure",
    "set_error_figure",
    "spectra_figure",
    "structure_figure",
    "surface_figure",
    "table2_figure",
    "torsion_profile_figure",
    "transfer_figure",
]
