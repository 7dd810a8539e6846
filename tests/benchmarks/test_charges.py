"""The benchmark of charge methods, and the pages that show its tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from openmm_hybrid import Molecule

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "charges.json"


@pytest.fixture(autouse=True)
def _import_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_the_pages_hold_the_tables_of_the_result() -> None:
    from benchmarks.charges import atoms, table

    result = json.loads(RESULT.read_text(encoding="utf-8"))
    for page, text in (("charges.md", table(result)), ("charges_by_atom.md", atoms(result))):
        assert text in (ROOT / "docs" / page).read_text(encoding="utf-8"), f"fill {page} again"


def test_the_dipole_of_water() -> None:
    """HF/6-31G*: 2.20 D (Hehre, Radom, Schleyer, Pople, Ab Initio Molecular Orbital Theory, 1986)."""
    from benchmarks.charges import reference

    found = reference(Molecule.from_smiles("O"), np.array([[0.0, 0, 0], [0.957, 0, 0], [-0.24, 0.926, 0]]))
    assert np.linalg.norm(found["dipole"]) == pytest.approx(2.20, abs=0.05)


def test_an_ion_may_be_anywhere() -> None:
    """Its dipole is relative to its centre of mass."""
    from benchmarks.charges import compared

    ion = Molecule.from_smiles("CNC(N)=[NH2+]", name="methylguanidinium")
    parts = [compared(molecule) for molecule in (ion, ion.with_conformers(ion.positions + 3.0))]
    for key in ("dipole", "dipole_error", "potential_error", "difference"):
        assert parts[1][key] == pytest.approx(parts[0][key], abs=2e-3), key
    assert parts[1]["rhf_dipole"] == pytest.approx(parts[0]["rhf_dipole"], abs=1e-3)
    assert parts[0]["dipole_error"]["resp"] < parts[0]["dipole_error"]["am1-bcc"]
    assert set(parts[0]["charges"]) == {"resp", "am1-bcc", "nagl"}
    assert "change" not in parts[0]["other_conformer"]


def test_what_a_method_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import charges
    from openmm_hybrid.core.errors import NumericalError

    def fails(*_: object, **__: object) -> None:
        raise NumericalError("sqm failed")

    monkeypatch.setattr(charges, "am1bcc_charges", fails)
    part = charges.compared(Molecule.from_smiles("CN=[N+]=[N-]", name="methyl azide"))
    assert part["problems"] == {"am1-bcc": "sqm failed."}
    assert set(part["dipole_error"]) == {"resp", "nagl"}
    result = {"figures": {}, "molecules": {"methyl azide": part}}
    assert "| methyl azide | 7 | 2.06 | 2.08 (0.20) |  | 1.83 (0.57) |" in charges.table(result)
    figures = charges.figures({"methyl azide": part})
    assert figures["am1-bcc.molecules"] == (0, "1")
    assert "am1-bcc.seconds_median" not in figures
