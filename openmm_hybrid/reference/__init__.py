"""Reference engines, and the labelling of geometries with their energies and forces."""

from __future__ import annotations

from openmm_hybrid.core.registry import Registry
from openmm_hybrid.reference.label import LabelResult, label
from openmm_hybrid.reference.reference_engine import ReferenceEngine

ENGINES = Registry(
    "reference engine",
    {
        "gfn2": "openmm_hybrid.reference.tblite:gfn2",
        "gfn1": "openmm_hybrid.reference.tblite:gfn1",
        "tblite": "openmm_hybrid.reference.tblite:tblite",
        "pyscf": "openmm_hybrid.reference.pyscf:pyscf",
    },
    "openmm_hybrid.engines",
)
"""Name → function(method, basis, charge, multiplicity) → ReferenceEngine."""

__all__ = ["ENGINES", "LabelResult", "ReferenceEngine", "engine", "label"]


def engine(name: str, *, method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> ReferenceEngine:
    """The reference engine called `name`, at a level of theory and for a charge and multiplicity.

    ``engine("gfn2")`` and ``engine("gfn1")`` compute GFN2-xTB and GFN1-xTB, as ``engine("tblite", method="GFN2-xTB")``
    does. ``engine("pyscf", method="PBE", basis="6-31G*")`` computes Hartree-Fock or a density functional by PySCF.
    Other distributions register engines in the entry-point group "openmm_hybrid.engines". An ASE calculator has its
    own settings and is wrapped directly: ``reference.ase.AseEngine(calculator, charge=-1)``.

    Parameters
    ----------
    name : str
        One of ``ENGINES.names()``.
    method : str
        Method or density functional; empty for the engine's own.
    basis : str
        Basis set; empty for engines that take none.
    charge : int
        Net charge of the molecule, e.
    multiplicity : int
        Spin multiplicity 2S + 1: 1 for a singlet, 2 for a doublet.

    Raises
    ------
    InputError
        Unknown engine, method or basis, a method or basis that the engine does not take, or a multiplicity below 1.
    MissingDependencyError
        The engine's package is not installed.

    Examples
    --------
    >>> import openmm_hybrid as oh
    >>> oh.reference.engine("gfn2", charge=-1).theory
    'GFN2-xTB, charge -1'
    """
    made: ReferenceEngine = ENGINES.load(name)(method=method, basis=basis, charge=charge, multiplicity=multiplicity)
    return made
