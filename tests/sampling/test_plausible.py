"""Numbers without a unit that are likely to be in another one, and timesteps for bonds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
from openmm import unit

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.sampling.plausible import (
    check_timestep,
    duration_ps,
    friction_rate,
    stiffest_bond,
    temperatures_kelvin,
    timestep_fs,
)
from openmm_hybrid.sampling.structure import Structure
from tests.faults.systems import built
from tests.helpers.oscillators import oscillators, water

ASPIRIN = Path(__file__).parents[2] / "examples" / "drop_in" / "aspirin.pdb"


@pytest.mark.parametrize("value", [0.05, 0.5, 2, 10.0, np.float64(1.0), 0.001 * unit.femtosecond, 1 * unit.picosecond])
def test_plausible_timesteps(value: Any) -> None:
    plain = value.value_in_unit(unit.femtosecond) if isinstance(value, unit.Quantity) else value
    assert timestep_fs(value) == pytest.approx(plain)


@pytest.mark.parametrize("value", [0.002, 0.0005, 0.049, 10.1, 2000.0, 0, -1.0, "long"])
def test_implausible_timesteps(value: Any) -> None:
    with pytest.raises(InputError, match=r"timestep"):
        timestep_fs(value)


@pytest.mark.parametrize(
    ("call", "value", "message"),
    [
        (lambda value: temperatures_kelvin(value, 1), 25.0, "25 K .*25 °C is 298.15 K"),
        (lambda value: temperatures_kelvin(value, 2), [300.0, 30.0], "30 K"),
        (lambda value: temperatures_kelvin(value, 1), 30000.0, "30000 K"),
        (lambda value: temperatures_kelvin(value, 1), 500.0, ""),
        (lambda value: temperatures_kelvin(value, 1), 25.0 * unit.kelvin, ""),
        (lambda value: temperatures_kelvin(value, 2), [25.0 * unit.kelvin] * 2, ""),
        (friction_rate, 0.001, "0.001/fs is 1/ps"),
        (friction_rate, 1e12, r"1e\+12/s is 1/ps"),
        (friction_rate, 91.0, ""),
        (friction_rate, 0.001 / unit.picosecond, ""),
        (duration_ps, 2e6, "above a microsecond"),
        (duration_ps, 1e5, ""),
        (duration_ps, None, ""),
        (duration_ps, 2 * unit.microsecond, ""),
    ],
)
def test_warnings_of_numbers_without_a_unit(call: Any, value: Any, message: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(value)
    assert len(caught) == bool(message)
    if message:
        with pytest.warns(UserWarning, match=message):
            call(value)


def test_frequency_of_the_stiffest_bond() -> None:
    """ω = √(k/μ) of O-H: √(3e5 · 17/16)/ps."""
    system, _, _ = water()
    expected = 1e-3 * np.sqrt(3e5 * 17 / 16)
    assert stiffest_bond(system, 1.0) == (pytest.approx(expected), 0, 2)
    assert stiffest_bond(system, 1.0, [(0, 4)]) == (pytest.approx(expected / 4), 0, 2)
    system.addConstraint(0, 1, 0.096)
    system.addConstraint(2, 0, 0.096)
    assert stiffest_bond(system, 1.0) is None
    assert stiffest_bond(oscillators(2, 1e5)[0], 1.0) is None


def test_frequency_of_a_morse_bond() -> None:
    """k = 2Da², whatever the names of the parameters; other CustomBondForces have no known frequency."""
    system, _, _ = water()
    system.removeForce(0)
    other, morse = openmm.CustomBondForce("1e9*r^2"), openmm.CustomBondForce("D*(1-exp(-b*(r-r0)))^2")
    for name in ("b", "r0", "D"):
        morse.addPerBondParameter(name)
    morse.addBond(0, 2, [20.0, 0.096, 400.0])
    other.addBond(0, 1)
    system.addForce(other)
    system.addForce(morse)
    expected = 1e-3 * np.sqrt(2 * 400.0 * 20.0**2 * 17 / 16)
    assert stiffest_bond(system, 1.0) == (pytest.approx(expected), 0, 2)
    system.addConstraint(2, 0, 0.096)
    assert stiffest_bond(system, 1.0) is None


def test_limits_of_the_timestep_are_those_of_the_integrator() -> None:
    """Above ω Δt = 2 leapfrog amplifies the vibration; the check refuses from there on."""
    system, topology, start = water()
    limit = 2.0 / stiffest_bond(system, 1.0)[0]  # type: ignore[index]
    structure = Structure.of(system, topology)
    with pytest.raises(InputError, match=r"bond of O0 \(atom 0\) and H2 \(atom 2\), whose vibration takes 11.1 fs"):
        check_timestep(system, structure, 1.01 * limit)
    with pytest.warns(UserWarning, match="use 1.8 fs or less"):
        check_timestep(system, structure, 0.8 * limit)
    spread = []
    for factor in (0.9, 1.1):
        context = openmm.Context(
            system, openmm.VerletIntegrator(1e-3 * factor * limit), openmm.Platform.getPlatform("Reference")
        )
        context.setPositions(start * 0.1001)
        context.getIntegrator().step(100)
        positions = context.getState(positions=True).getPositions(asNumpy=True)._value
        spread.append(np.abs(np.linalg.norm(positions[1:] - positions[0], axis=1) - 0.096).max())
    assert spread[0] < 0.01
    assert not spread[1] < 0.1


@pytest.mark.parametrize(("constraints", "timestep"), [(None, 0.5), (None, 1.0), (None, 2.0), ("HBonds", 2.0)])
@pytest.mark.filterwarnings("error")
def test_usual_timesteps_pass(constraints: str | None, timestep: float) -> None:
    """Nitriles and alkynes have the stiffest bonds of heavy atoms, O-H those of hydrogen."""
    system = built("OCC(C#N)C#C") if constraints is None else _constrained("OCC(C#N)C#C")
    check_timestep(system.system, Structure.of(system.system), timestep)


@pytest.mark.filterwarnings("error")
def test_4_fs_pass_with_heavy_hydrogens_and_constraints() -> None:
    """GAFF's bonds, and those of a force field fitted to aspirin's vibrations."""
    from openmm_hybrid import ForceField, Molecule, replace

    aspirin = _constrained(Molecule.from_file(ASPIRIN, template="CC(=O)Oc1ccccc1C(=O)O"), hydrogen_mass=3.0)
    system = aspirin.system
    check_timestep(system, Structure.of(system), 4.0)
    replace(system, aspirin.topology, ForceField.load("aspirin-cross"))
    check_timestep(system, Structure.of(system), 4.0)


def _constrained(source: Any, **options: Any) -> Any:
    from openmm_hybrid import Molecule, build
    from tests.helpers.gaff_molecules import gasteiger

    molecule = Molecule.from_smiles(source) if isinstance(source, str) else source
    return build(molecule, charges=gasteiger(molecule), constraints="HBonds", **options)
