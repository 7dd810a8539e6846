"""What to cite depends on base, charges and labels."""

from __future__ import annotations

import pytest

from openmm_hybrid.refinement.citations import citations


@pytest.mark.parametrize(
    ("base", "charges", "theory", "words"),
    [
        ("gaff-2.2.20", "am1-bcc", "GFN2-xTB (tblite 0.8.0)", ["GAFF2: He", "Jakalian", "Bannwarth"]),
        ("openff-2.3.0", "nagl", "MMFF94", ["Boothroyd", "Halgren"]),
        ("gaff-1.81", "resp", "PBE/def2-SVP (pyscf 2.11.0)", ["Wang", "Bayly", "PySCF", "method of the labels: PBE"]),
        ("gaff-1.81", "resp", "MACE", ["method of the labels: MACE"]),
    ],
)
def test_all_parts_are_cited(base: str, charges: str, theory: str, words: list[str]) -> None:
    found = "\n".join(citations(base, charges, theory))
    for word in [*words, "OpenMM: Eastman", "openmm-hybrid"]:
        assert word in found
    assert ("GAFF" in found) == base.startswith("gaff")
    assert ("GAFF2" in found) == base.startswith("gaff-2")
