"""Studies: complete pieces of work, from settings to a table, a JSON document and pictures."""

from __future__ import annotations

from openmm_hybrid.core.registry import Registry

STUDIES = Registry(
    "study",
    {
        "sampling": "openmm_hybrid.studies.sampling:SamplingStudy",
        "all": "openmm_hybrid.studies.overview:OverviewStudy",
        "ensembles": "openmm_hybrid.studies.ensembles:EnsemblesStudy",
        "relabel": "openmm_hybrid.studies.relabel:RelabelStudy",
        "transfer": "openmm_hybrid.studies.transfer:TransferStudy",
        "spectra": "openmm_hybrid.studies.spectra:SpectraStudy",
        "table2": "openmm_hybrid.studies.table2:Table2Study",
        "learning-curve": "openmm_hybrid.studies.learning_curve:LearningCurveStudy",
        "training": "openmm_hybrid.studies.training:TrainingStudy",
        "surfaces": "openmm_hybrid.studies.surfaces:SurfacesStudy",
        "minima": "openmm_hybrid.studies.minima:MinimaStudy",
    },
    "openmm_hybrid.studies",
)
"""Name → class of the study."""

__all__ = ["STUDIES"]
