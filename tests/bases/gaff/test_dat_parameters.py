"""Parameter tables against openmmforcefields' own conversion of the same files to OpenMM's units (a peer)."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from importlib.resources import files

import pytest

from openmm_hybrid.bases.gaff.dat_parameters import VERSIONS, load_gaff, order_improper, read_dat, read_frcmod
from openmm_hybrid.core.errors import InputError

#: Torsions that some version of GAFF 2 defines twice: openmmforcefields keeps the last series, LEaP the first terms.
TWICE = (("c3", "c3", "os", "c3"), ("c", "n", "c3", "c3"), ("c2", "ce", "ca", "ca"), ("c3", "c3", "c", "o"))


@pytest.mark.parametrize("version", VERSIONS)
def test_tables_equal_openmmforcefields(version: str) -> None:
    tables = load_gaff(version)
    path = files("openmmforcefields") / "ffxml" / "amber" / "gaff" / "ffxml" / f"gaff-{version}.xml"
    root = ElementTree.fromstring(path.read_text())
    assert len(tables.bonds) == len(root.findall(".//Bond"))
    assert len(tables.angles) == len(root.findall(".//Angle"))
    assert len(tables.propers) == len(root.findall(".//Proper"))
    assert len(tables.impropers) == len(root.findall(".//Improper"))
    for kind in root.findall(".//Type"):
        assert tables.masses[kind.get("name")] == float(kind.get("mass"))
    for bond in root.findall(".//Bond"):
        found = tables.bond([bond.get(f"class{i}") for i in (1, 2)])
        assert found.k * 2 * 418.4 == pytest.approx(float(bond.get("k")), rel=1e-9)
        assert found.equilibrium / 10 == pytest.approx(float(bond.get("length")), rel=1e-9)
    for angle in root.findall(".//Angle"):
        found = tables.angle([angle.get(f"class{i}") for i in (1, 2, 3)])
        assert found.k * 2 * 4.184 == pytest.approx(float(angle.get("k")), rel=1e-9)
        assert found.equilibrium == pytest.approx(float(angle.get("angle")), rel=1e-9)
    for proper in root.findall(".//Proper"):
        types = [proper.get(f"class{i}") or "X" for i in (1, 2, 3, 4)]
        if version.startswith("2") and (tuple(types) in TWICE or tuple(reversed(types)) in TWICE):
            continue
        expected = [
            (float(proper.get(f"k{n}")), int(proper.get(f"periodicity{n}")), float(proper.get(f"phase{n}")))
            for n in range(1, 10)
            if f"k{n}" in proper.attrib
        ]
        found = [(term.k * 4.184, term.periodicity, term.phase) for term in tables.proper(types)]
        assert sorted(found) == [pytest.approx(values, rel=1e-9) for values in sorted(expected)]
    for atom in root.findall("./NonbondedForce/Atom"):
        found = tables.lennard_jones.get(atom.get("class"))
        if found is not None and found.epsilon:
            assert found.epsilon * 4.184 == pytest.approx(float(atom.get("epsilon")), rel=1e-9)
            assert found.rmin_half * 0.2 / 2 ** (1 / 6) == pytest.approx(float(atom.get("sigma")), rel=1e-9)


def test_frcmod() -> None:
    tables = read_frcmod(
        "Remark line goes here\nMASS\n\nBOND\nca-zz  300.10   1.4300       guess\n\nANGLE\n"
        "c3-os-ca   62.0      117.50   same as x\n\nDIHE\nX -ca-zz-X    4    4.000       180.000          -2.000\n"
        "X -ca-zz-X    4    1.200         0.000           3.000\n\n"
        "IMPROPER\nca-o -c -oh         1.1          180.0         2.0          Same as X -o -c -o\n\nNONBON\n"
        "  zz          1.9080  0.0860\n"
    )
    assert tables.bond(("zz", "ca")) == (300.10, 1.43)
    assert tables.angle(("ca", "os", "c3")) == (62.0, pytest.approx(math.radians(117.5)))
    assert tables.proper(("h1", "zz", "ca", "ca")) == ((1.0, 2, pytest.approx(math.pi)), (0.3, 3, 0.0))
    assert tables.improper("c", ("o", "oh", "ca")).types == ("ca", "o", "c", "oh")
    assert tables.lennard_jones["zz"] == (1.908, 0.086)
    assert tables.proper(("h1", "zz", "c3", "ca")) is None


def test_a_comment_may_follow_a_number_without_a_space() -> None:
    dat = (
        "title\nca 12.01\n\nca\nca-ca  478.4   1.3870\n\nca-ca-ha   48.5      95.99calculated_2\n\n\n\nMOD4      RE\n\n"
    )
    assert read_dat(dat).angle(("ha", "ca", "ca")) == (48.5, pytest.approx(math.radians(95.99)))


def test_exact_torsion_before_wildcard() -> None:
    tables = load_gaff("1.81")
    exact = tables.proper(("hc", "c3", "c3", "hc"))
    assert exact != tables.proper(("X", "c3", "c3", "X"))
    assert tables.proper(("n3", "c3", "c3", "n3")) == tables.proper(("X", "c3", "c3", "X"))


def test_improper_atoms_take_the_places_of_their_types() -> None:
    """As in LEaP's prmtop of aspirin: c3-o-c-os about C1; and ca-ca-ca-c3 of toluene in the file's order."""
    tables = load_gaff("1.81").with_extra(
        read_frcmod("\nIMPROPER\nc3-o -c -os         1.1          180.0         2.0\n")
    )
    rule = tables.improper("c", ("os", "c3", "o"))
    assert order_improper(rule, 1, (0, 2, 3), ("c3", "c", "o", "os")) == (0, 2, 1, 3)
    ring = tables.improper("ca", ("c3", "ca", "ca"))
    assert ring.types == ("ca", "ca", "ca", "c3")
    assert order_improper(ring, 2, (0, 3, 1), ("c3", "ca", "ca", "ca")) == (1, 3, 2, 0)


def test_unknown_version() -> None:
    with pytest.raises(InputError, match=r"unknown GAFF version '3'.*1\.81"):
        load_gaff("3")
