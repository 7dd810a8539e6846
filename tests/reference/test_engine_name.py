"""Texts that name reference engines."""

from __future__ import annotations

import pytest

from openmm_hybrid import reference
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.reference.engine_name import EngineName, parsed
from openmm_hybrid.reference.pyscf import PyscfEngine
from openmm_hybrid.reference.tblite import TbliteEngine


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gfn2", ("gfn2", "", "", {})),
        (" pyscf ", ("pyscf", "", "", {})),
        ("tblite:GFN1-xTB", ("tblite", "GFN1-xTB", "", {})),
        ("pyscf:wb97x-d3/def2-svp", ("pyscf", "wb97x-d3", "def2-svp", {})),
        ("pyscf:ccsd(t)/6-31+g*", ("pyscf", "ccsd(t)", "6-31+g*", {})),
        ("pyscf:pbe/def2-svp?density_fit=True", ("pyscf", "pbe", "def2-svp", {"density_fit": True})),
        ("ase:a.b:C", ("ase", "a.b:C", "", {})),
        ("model:runs/teacher.npz", ("model", "runs/teacher.npz", "", {})),
        (
            "ase:a:C?model=~/x/y:z.pt&n=2&r=1e-3&s=FALSE&t=none",
            ("ase", "a:C", "", {"model": "~/x/y:z.pt", "n": 2, "r": 1e-3, "s": False, "t": None}),
        ),
    ],
)
def test_parts(text, parts):
    assert parsed(text) == EngineName(*parts)


@pytest.mark.parametrize("text", ["1_2", "0012", "1_0.5", "infinity", "00.5", "٣"])
def test_texts_that_look_like_numbers_stay_texts(text):
    assert parsed(f"ase:m:C?x={text}").options == {"x": text}


@pytest.mark.parametrize("text", ["12", "-3", "0", "0.50", "1e-8", "1E5", ".5", "-2.", "1.50e+03", "+1.0", "inf"])
def test_numbers_are_numbers(text):
    (found,) = parsed(f"ase:m:C?x={text}").options.values()
    assert type(found) is (int if text in ("12", "-3", "0") else float)
    assert found == float(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no engine"),
        (":pbe", "no engine"),
        ("pyscf:", "no method"),
        ("pyscf:pbe/", "no basis"),
        ("pyscf:pbe/sto-3g?", "not an option"),
        ("pyscf:pbe/sto-3g?density_fit", "'density_fit' in .* is not an option; expected key=value"),
        ("pyscf:pbe/sto-3g?a=1&a=2", "option a is given twice"),
    ],
)
def test_incomplete_texts_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parsed(text)


def test_a_text_is_the_engine_of_the_arguments():
    assert reference.engine("pyscf:pbe/6-31g*", charge=-1) == reference.engine(
        "pyscf", method="pbe", basis="6-31g*", charge=-1
    )
    assert reference.engine("pyscf:pbe", basis="6-31g*") == PyscfEngine("PBE", "6-31g*")
    assert reference.engine("tblite:gfn1-xtb") == TbliteEngine("GFN1-xTB")
    fitted = reference.engine("pyscf:pbe/6-31g*?density_fit=true&max_cycles=30&grid=0")
    assert fitted == PyscfEngine("PBE", "6-31g*", max_cycles=30, density_fit=True, grid=0)


def test_the_number_of_steps_is_an_effort_and_no_setting():
    usual, more = (reference.engine(f"pyscf:hf/6-31g*{options}") for options in ("", "?max_cycles=500"))
    assert (usual.effort, more.effort) == ("", "500 steps")
    assert (usual.theory, usual.settings) == (more.theory, more.settings)


def test_another_grid_is_another_level_of_theory():
    names = [reference.engine(f"pyscf:pbe/6-31g*{options}").theory for options in ("", "?grid=4", "?grid=0", "?grid=9")]
    assert names == ["PBE/6-31G*", "PBE/6-31G*", "PBE/6-31G*, grid level 0", "PBE/6-31G*, grid level 9"]


@pytest.mark.parametrize(
    ("text", "keywords", "message"),
    [
        ("pysfc:pbe/sto-3g", {}, "unknown reference engine 'pysfc'.*did you mean pyscf"),
        ("pyscf:pbe0-d5/sto-3g", {}, "no method 'pbe0-d5'.*did you mean PBE0-D4"),
        ("pyscf:pbe/sto-4gg", {}, "no basis 'sto-4gg'"),
        ("pyscf:pbe/sto-3g?densityfit=true", {}, "unknown option 'densityfit'.*did you mean density_fit"),
        ("pyscf:pbe/sto-3g?density_fit=1", {}, "density_fit of the engine pyscf is 1; expected true or false"),
        ("pyscf:pbe/sto-3g?grid=10", {}, "grid of the engine pyscf is 10; expected a level from 0"),
        ("pyscf:hf/sto-3g?grid=3", {}, "HF has no integration grid"),
        ("gfn2?x=1", {}, "engine gfn2 takes no options"),
        ("pyscf:pbe/sto-3g", {"method": "pbe"}, "method is given twice: 'pbe' in"),
        ("pyscf:pbe/sto-3g", {"basis": "6-31g"}, "basis is given twice: 'sto-3g' in .* '6-31g' as an argument"),
        ("pyscf:mp2/sto-3g?density_fit=true", {}, "no gradient of MP2 with density fitting"),
        ("pyscf:ccsd(t)/sto-3g", {"multiplicity": 2, "charge": 1}, r"no correct gradient of CCSD\(T\)"),
    ],
)
def test_the_wrong_part_is_named(text, keywords, message):
    with pytest.raises(InputError, match=message):
        reference.engine(text, **keywords)
