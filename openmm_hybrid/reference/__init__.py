"""Who labels geometries with reference energies and forces."""

from __future__ import annotations

from openmm_hybrid.core.registry import Registry
from openmm_hybrid.reference.label import LabelResult, label
from openmm_hybrid.reference.reference_engine import ReferenceEngine

ENGINES = Registry(
    "reference engine",
    {"gfn2": "openmm_hybrid.reference.tblite:gfn2", "gfn1": "openmm_hybrid.reference.tblite:gfn1"},
    "openmm_hybrid.reference",
)
"""Name → function(charge, unpaired) → ReferenceEngine."""

__all__ = ["ENGINES", "LabelResult", "ReferenceEngine", "engine", "label"]


def engine(name: str, *, charge: int = 0, unpaired: int = 0) -> ReferenceEngine:
    """The reference engine called `name` ("gfn2", "gfn1", or one that another distribution announces).

    An ASE calculator is wrapped by hand: ``reference.ase.AseEngine(calculator)``.

    Parameters
    ----------
    name : str
    charge : int
        Net charge of the molecule, e.
    unpaired : int
        Number of unpaired electrons.

    Raises
    ------
    InputError
        No such engine.
    MissingDependencyError
        The engine's package is not installed.
    """
    made: ReferenceEngine = ENGINES.load(name)(charge=charge, unpaired=unpaired)
    return made
