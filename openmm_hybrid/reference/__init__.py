"""Reference engines, and the labelling of geometries with their energies and forces."""

from __future__ import annotations

from inspect import signature
from typing import Any

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.core.files import expanded
from openmm_hybrid.core.registry import Registry
from openmm_hybrid.reference.engine_name import parsed
from openmm_hybrid.reference.label import LabelResult, label
from openmm_hybrid.reference.reference_engine import ReferenceEngine

ENGINES = Registry(
    "reference engine",
    {
        "gfn2": "openmm_hybrid.reference.tblite:gfn2",
        "gfn1": "openmm_hybrid.reference.tblite:gfn1",
        "tblite": "openmm_hybrid.reference.tblite:tblite",
        "pyscf": "openmm_hybrid.reference.pyscf:pyscf",
        "mmff94": "openmm_hybrid.reference.mechanics:mmff94",
        "mmff94s": "openmm_hybrid.reference.mechanics:mmff94s",
        "uff": "openmm_hybrid.reference.mechanics:uff",
        "ghemical": "openmm_hybrid.reference.ghemical:ghemical",
        "ase": "openmm_hybrid.reference.ase:ase",
        "model": "openmm_hybrid.reference.model:model",
    },
    "openmm_hybrid.engines",
)
"""Name → function(method, basis, charge, multiplicity) → ReferenceEngine; with options, also of a mapping `options`."""

__all__ = ["ENGINES", "LabelResult", "ReferenceEngine", "engine", "label"]


def engine(name: str, *, method: str = "", basis: str = "", charge: int = 0, multiplicity: int = 1) -> ReferenceEngine:
    """The reference engine that a text names, at a level of theory and for a charge and multiplicity.

    The text is the name of an engine, with method, basis and options where the engine takes them:
    "gfn2", "pyscf:wb97x-d3/def2-svp", "pyscf:pbe/def2-svp?density_fit=true", "mmff94",
    "ase:tblite.ase:TBLite?method=GFN2-xTB", "model:teacher.npz". Method and basis may be given as arguments instead.
    The section "label" of docs/cli.md lists all engines. Other distributions register engines in the entry-point group
    "openmm_hybrid.engines". An ASE calculator object is wrapped directly: ``reference.ase.AseEngine(calculator)``.

    Parameters
    ----------
    name : str
        Text whose first part is one of ``ENGINES.names()``.
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
        Unknown engine, method, basis or option, a method, basis or option that the engine does not take, a method or
        basis given in the text and as an argument, or a multiplicity below 1.
    MissingDependencyError
        The engine's package is not installed.

    Examples
    --------
    >>> import openmm_hybrid as oh
    >>> oh.reference.engine("gfn2", charge=-1).theory
    'GFN2-xTB, charge -1'
    """
    named = parsed(name)
    make = ENGINES.load(named.name)
    for part, in_text, given in (("method", named.method, method), ("basis", named.basis, basis)):
        if in_text and given:
            raise InputError(
                f"the {part} is given twice: {in_text!r} in {name!r}, and {given!r} as an argument",
                hint="leave one of them out",
            )
    level = {"method": named.method or method, "basis": named.basis or basis}
    options: dict[str, Any] = {"options": named.options} if named.options else {}
    if options and "options" not in signature(make).parameters:
        raise InputError(f"the engine {named.name} takes no options, and {name!r} has {', '.join(named.options)}")
    made: ReferenceEngine = make(**level, charge=charge, multiplicity=multiplicity, **options)
    if named.name == "model" and (file := expanded(level["method"])).is_file():
        name, method = "model", str(file.absolute())  # the same file for a process in another folder
    request = {"name": name, "method": method, "basis": basis, "charge": charge, "multiplicity": multiplicity}
    object.__setattr__(made, "request", request)  # engines are frozen
    return made
