"""Publications to cite for a refined force field."""

from __future__ import annotations

_PACKAGE = "openmm-hybrid: see CITATION.cff in its repository"
_OPENMM = "OpenMM: Eastman et al., J. Phys. Chem. B 128, 109 (2024)"
_GAFF = "GAFF: Wang, Wolf, Caldwell, Kollman, Case, J. Comput. Chem. 25, 1157 (2004)"
_BASES = {
    "gaff-1": (_GAFF,),
    "gaff-2": (_GAFF, "GAFF2: He, Man, Yang, Lee, Wang, J. Chem. Phys. 153, 114502 (2020)"),
    "openff-2": ("OpenFF 2: Boothroyd et al., J. Chem. Theory Comput. 19, 3251 (2023)",),
}
_CHARGES = {
    "am1-bcc": "AM1-BCC: Jakalian, Jack, Bayly, J. Comput. Chem. 23, 1623 (2002)",
    "resp": "RESP: Bayly, Cieplak, Cornell, Kollman, J. Phys. Chem. 97, 10269 (1993)",
}
_PROGRAMS = {
    "GFN2-xTB": "GFN2-xTB: Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019)",
    "GFN1-xTB": "GFN1-xTB: Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017)",
    "MMFF94": "MMFF94: Halgren, J. Comput. Chem. 17, 490 (1996)",
    "MMFF94s": "MMFF94s: Halgren, J. Comput. Chem. 20, 720 (1999)",
    "Ghemical": "Open Babel: O'Boyle et al., J. Cheminform. 3, 33 (2011)",
    "UFF": "UFF: Rappé et al., J. Am. Chem. Soc. 114, 10024 (1992)",
    "pyscf": "PySCF: Sun et al., J. Chem. Phys. 153, 024109 (2020)",
}


def citations(base: str, charges: str, theory: str) -> tuple[str, ...]:
    """Publications to cite: of the base force field, the charges, the labels, OpenMM and this package.

    Parameters
    ----------
    base : str
        Name of the base force field, such as "gaff-2.2.20".
    charges : str
        Name of the charge method.
    theory : str
        Level of theory of the labels with its program, such as "GFN2-xTB (tblite 0.8.0)". For a level without an entry
        of its own the text asks for the method's and the program's publications.
    """
    found = [entry for start, entries in _BASES.items() if base.startswith(start) for entry in entries]
    found += [_CHARGES[charges]] if charges in _CHARGES else []
    programs = [entry for name, entry in _PROGRAMS.items() if name in theory]
    if not programs or "pyscf" in theory:
        programs.append(f"the publications of the method of the labels: {theory}")
    return (*found, *programs, _OPENMM, _PACKAGE)
