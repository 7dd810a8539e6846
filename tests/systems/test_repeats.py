"""A model is attached once; a second time only on demand."""

from __future__ import annotations

import numpy as np
import pytest

import openmm_hybrid as oh
from openmm_hybrid import Molecule, gaff
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.systems.plan import known_backends
from tests.helpers.gaff_molecules import gasteiger

LEARNED = [backend.name for backend in known_backends() if backend.needs_torch and backend.state().works]


def built() -> gaff.BuiltSystem:
    ethanol = Molecule.from_smiles("C(C)O")
    return gaff.build([ethanol, ethanol], charges=[gasteiger(ethanol)] * 2)


@pytest.mark.parametrize("backend", ["native", *LEARNED])
def test_the_same_model_twice_is_refused(backend: str) -> None:
    system = built()
    correction = oh.load("ethanol-rotors")
    settings = {"atoms": range(9), "backend": backend}
    made = oh.attach(system.system, system.topology, correction, **settings)
    count = system.system.getNumForces()
    with pytest.raises(MismatchError, match="already; attach a model once"):
        oh.attach(system.system, system.topology, correction, force_group=2, **settings)
    assert system.system.getNumForces() == count
    oh.attach(system.system, system.topology, correction, repeat=True, **settings)
    assert system.system.getNumForces() == count + len(made)
    # Another copy, and another model, are no repeats.
    oh.attach(system.system, system.topology, correction, atoms=range(9, 18), backend=backend)
    values = correction.parameters.values * 1.5
    oh.attach(system.system, system.topology, correction.with_values(np.asarray(values)), **settings)


@pytest.mark.parametrize("scale", ["x1", "y2", "z12", "p1", "r", "theta"])
def test_a_scale_may_not_be_a_coordinate(scale: str) -> None:
    system = built()
    with pytest.raises(InputError, match=f"'{scale}' is a coordinate in OpenMM's expressions"):
        oh.attach(system.system, system.topology, oh.load("ethanol-rotors"), atoms=range(9), scale=scale)


@pytest.mark.parametrize("backend", ["native", *LEARNED])
@pytest.mark.parametrize("first", [{}, {"scale": "one"}])
@pytest.mark.parametrize("second", [{"scale": "two"}, {"dtype": "float32"}])
def test_scale_and_dtype_do_not_hide_a_repeat(backend: str, first: dict[str, str], second: dict[str, str]) -> None:
    system, correction = built(), oh.load("ethanol-rotors")
    oh.attach(system.system, system.topology, correction, atoms=range(9), backend=backend, **first)
    with pytest.raises(MismatchError, match="already; attach a model once"):
        oh.attach(system.system, system.topology, correction, atoms=range(9), backend=backend, **second)
    oh.attach(system.system, system.topology, correction, atoms=range(9, 18), backend=backend, **second)
