"""Random molecules, forms and surroundings: the same energies and forces everywhere, or a refusal in one line."""

from __future__ import annotations

from dataclasses import replace

import openmm
import pytest

from openmm_hybrid import ForceField, Molecule
from tests.fuzz import run as fuzz
from tests.fuzz.draw import Case, Classical, Surroundings, draw
from tests.fuzz.molecules import SMILES

SEED, COUNT = 0, 40


def test_molecules_are_many_and_small() -> None:
    assert len(set(SMILES)) == 200
    for smiles in SMILES[::10]:
        assert 3 <= Molecule.from_smiles(smiles).n_atoms <= 25, smiles


@pytest.mark.parametrize("index", range(COUNT))
def test_case(index: int) -> None:
    case = draw(SEED, index)
    if case.backend == "torchforce":
        pytest.skip("a torch backend takes long to compile; benchmarks.fuzz tries it")
    outcome = fuzz.run(case)
    assert outcome.kind != "failed", f"python -m benchmarks.fuzz --seed {SEED} --case {index}: {outcome.message}"


def test_a_case_is_the_same_whenever_it_is_drawn() -> None:
    assert draw(3, 5) == draw(3, 5)
    assert draw(3, 5) != draw(3, 6)


def plain_case() -> Case:
    """Two ethanols with GAFF's forms in a box of three waters."""
    return replace(
        draw(0, 0),
        smiles="CCO",
        classical=Classical(
            per_term=False, phases=False, improper_style="amber", scales=(1 / 1.2, 0.5), types="classes"
        ),
        edits=(),
        fourier2d=False,
        spread=0.02,
        how="replace",
        surroundings=Surroundings("PME", "triclinic", 2, 3, "none", 0.0, False),
        fitted_outside=True,
    )


def test_a_plain_case_passes() -> None:
    outcome = fuzz.run(plain_case())
    assert (outcome.kind, outcome.message) == ("passed", "")
    assert {"replace: forces", "replace, wrapped: forces", "replace, XML, CPU: forces"} <= set(outcome.largest)


@pytest.mark.parametrize("part", ["bond", "charge", "exception", "mass"])
def test_a_small_mistake_is_found(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bond 1e-5 stiffer, one charge other by 1e-5 e, one exception scaled by 1.0001, one mass moved."""
    right = fuzz.oh.replace

    def wrong(system: openmm.System, topology: object, forcefield: ForceField, **arguments: object) -> object:
        made = right(system, topology, forcefield, **arguments)  # type: ignore[arg-type]
        _spoil(system, part)
        return made

    monkeypatch.setattr(fuzz.oh, "replace", wrong)
    outcome = fuzz.run(plain_case())
    assert outcome.kind == "failed"
    assert "differ" in outcome.message


def _spoil(system: openmm.System, part: str) -> None:
    if part == "mass":
        system.setParticleMass(0, 13.0)
    for force in system.getForces():
        if part == "bond" and isinstance(force, openmm.HarmonicBondForce):
            i, j, length, k = force.getBondParameters(0)
            force.setBondParameters(0, i, j, length, 1.00001 * k)
        if part == "charge" and isinstance(force, openmm.NonbondedForce):
            charge, sigma, epsilon = force.getParticleParameters(0)
            force.setParticleParameters(0, charge._value + 1e-5, sigma, epsilon)
        if part == "exception" and isinstance(force, openmm.NonbondedForce):
            rows = [force.getExceptionParameters(k) for k in range(force.getNumExceptions())]
            index = next(k for k, row in enumerate(rows) if row[2]._value and row[4]._value)
            i, j, product, sigma, epsilon = rows[index]
            force.setExceptionParameters(index, i, j, 1.0001 * product, sigma, epsilon)


@pytest.mark.parametrize("kind", ["raw", "warning", "refusal"])
def test_errors_and_warnings_are_judged(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is none of ours and a warning are failures, a refusal is none."""

    def raised(*_: object, **__: object) -> None:
        if kind == "raw":
            raise ValueError("an array has the wrong shape")
        if kind == "refusal":
            raise fuzz.HybridError("no")
        fuzz.warnings.warn("something odd", stacklevel=2)

    monkeypatch.setattr(fuzz, "_replace", raised)
    assert fuzz.run(plain_case()).kind == ("refused" if kind == "refusal" else "failed")
