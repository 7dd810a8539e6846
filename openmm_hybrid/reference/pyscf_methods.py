"""The methods that the engine "pyscf" computes, and the names of their parts in PySCF and pyscf-dispersion."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import final

from openmm_hybrid.core.errors import InputError

FUNCTIONALS = {
    "HF": "",
    "PBE": "pbe",
    "BLYP": "blyp",
    "TPSS": "tpss",
    "r2SCAN": "r2scan",
    "PBE0": "pbe0",
    "B3LYP": "b3lyp",
    "M06-2X": "m06-2x",
    "wB97X": "wb97x",
}
"""Method → PySCF's name of the density functional; none for Hartree-Fock."""

CORRELATED = ("MP2", "CCSD", "CCSD(T)")
"""Methods that add correlation to Hartree-Fock; all electrons are correlated."""

_DISPERSION = {
    "D3BJ": ("HF", "PBE", "BLYP", "TPSS", "r2SCAN", "PBE0", "B3LYP"),
    "D3ZERO": ("HF", "PBE", "BLYP", "TPSS", "PBE0", "B3LYP", "M06-2X"),
    "D4": ("HF", "PBE", "BLYP", "TPSS", "r2SCAN", "PBE0", "B3LYP"),
}
"""Correction → methods with published parameters, in simple-dftd3 and dftd4."""

_WITH_DISPERSION = {
    "wB97X-D3": ("hyb_gga_xc_wb97x_d3", "d3zero:wb97x"),
    "wB97X-D3BJ": ("wb97x_v", "d3bj:wb97x"),
    "wB97M-D3BJ": ("wb97m_v", "d3bj:wb97m"),
    "B97M-D3BJ": ("b97m_v", "d3bj:b97m"),
    "wB97X-D4": ("wb97x_v", "d4:wb97x"),
    "wB97M-D4": ("wb97m_v", "d4:wb97m"),
    "B97M-D4": ("b97m_v", "d4:b97m"),
}
"""Method → functional and correction, for functionals that were made with a correction.

wB97X-D3 is that of Lin et al., J. Chem. Theory Comput. 9, 263 (2013), with zero damping. In the others D3(BJ) or D4
takes the place of the nonlocal correlation VV10 (Najibi and Goerigk, J. Chem. Theory Comput. 14, 5725 (2018) and
J. Comput. Chem. 41, 2562 (2020)).
"""


@final
@dataclass(frozen=True)
class Method:
    """The parts of a method.

    Parameters
    ----------
    name : str
        Name as it is printed.
    functional : str
        PySCF's name of the density functional; empty for Hartree-Fock.
    dispersion : str
        Version and parameter set of the dispersion correction, such as "d3bj:pbe"; empty for none.
    correlation : str
        One of `CORRELATED`, or empty.
    """

    name: str
    functional: str = ""
    dispersion: str = ""
    correlation: str = ""


def _all() -> dict[str, Method]:
    methods = {name: Method(name, functional) for name, functional in FUNCTIONALS.items()}
    for version, names in _DISPERSION.items():
        for name in names:
            key = (FUNCTIONALS[name] or "hf").replace("m06-2x", "m062x")
            methods[f"{name}-{version}"] = Method(f"{name}-{version}", FUNCTIONALS[name], f"{version.lower()}:{key}")
    methods |= {name: Method(name, *parts) for name, parts in _WITH_DISPERSION.items()}
    return methods | {name: Method(name, correlation=name) for name in CORRELATED}


METHODS = _all()
"""Name → method."""


def method_named(name: str) -> Method:
    """The method of this name; upper and lower case do not matter.

    Raises
    ------
    InputError
        No name was given, or an unknown one; the message lists the known methods and those with similar names.
    """
    known = {method.casefold(): method for method in METHODS}
    wanted = name.casefold().replace("(bj)", "bj").replace("(0)", "zero").replace("ω", "w")
    if wanted in known:
        return METHODS[known[wanted]]
    similar = [known[method] for method in difflib.get_close_matches(wanted, known)]
    raise InputError(
        f"pyscf has no method {name!r} here" if name else "pyscf needs a method",
        expected=f"one of {', '.join((*FUNCTIONALS, *CORRELATED, *_WITH_DISPERSION))}; "
        + "; ".join(f"-{version} after {', '.join(names)}" for version, names in _DISPERSION.items()),
        hint=f"did you mean {' or '.join(similar)}?" if similar else "",
    )
