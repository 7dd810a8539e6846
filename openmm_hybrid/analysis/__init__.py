"""Analysis of simulations and data sets: errors, densities, populations, free energies, surfaces, drift, spectra.

All functions take arrays or `Frames`; none needs OpenMM or torch.
"""

from openmm_hybrid.analysis.blocks import Estimate, mean_with_error, statistical_inefficiency
from openmm_hybrid.analysis.distances import DistanceOverlap, PairDistances, distance_overlap
from openmm_hybrid.analysis.distributions import (
    Density,
    Weights,
    boltzmann_weights,
    dihedral_density,
    jensen_shannon,
)
from openmm_hybrid.analysis.error_table import ErrorTable, error_table
from openmm_hybrid.analysis.frame_errors import FrameErrors, MeanError, frame_errors, grouped_mean
from openmm_hybrid.analysis.free_energy import FreeEnergies, mbar
from openmm_hybrid.analysis.pair_overlap import PairDensities, PairOverlap, pair_densities, pair_overlaps
from openmm_hybrid.analysis.populations import Basins, label_basins, populations
from openmm_hybrid.analysis.similarity import (
    Excess,
    StartDependence,
    excess,
    excesses,
    free_energy_difference,
    start_dependence,
)
from openmm_hybrid.analysis.stability import Drift, energy_drift
from openmm_hybrid.analysis.surface import (
    SurfaceProfile,
    grid_minima,
    image_difference,
    rms_difference,
    surface_profile,
)
from openmm_hybrid.analysis.vibrations import (
    Band,
    BandValue,
    Slope,
    Spectrum,
    band_value,
    bands,
    infrared,
    temperature_slope,
    vdos,
)
from openmm_hybrid.analysis.wells import Wells, density_wells

__all__ = [
    "Band",
    "BandValue",
    "Basins",
    "Density",
    "DistanceOverlap",
    "Drift",
    "ErrorTable",
    "Estimate",
    "Excess",
    "FrameErrors",
    "FreeEnergies",
    "MeanError",
    "PairDensities",
    "PairDistances",
    "PairOverlap",
    "Slope",
    "Spectrum",
    "StartDependence",
    "SurfaceProfile",
    "Weights",
    "Wells",
    "band_value",
    "bands",
    "boltzmann_weights",
    "density_wells",
    "dihedral_density",
    "distance_overlap",
    "energy_drift",
    "error_table",
    "excess",
    "excesses",
    "frame_errors",
    "free_energy_difference",
    "grid_minima",
    "grouped_mean",
    "image_difference",
    "infrared",
    "jensen_shannon",
    "label_basins",
    "mbar",
    "mean_with_error",
    "pair_densities",
    "pair_overlaps",
    "populations",
    "rms_difference",
    "start_dependence",
    "statistical_inefficiency",
    "surface_profile",
    "temperature_slope",
    "vdos",
]
