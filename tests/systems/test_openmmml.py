"""MLPotential("openmm-hybrid"): found by openmm-ml 1.8, its Systems against those of attach and replace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray
from openmm import Vec3, unit

import openmm_hybrid as oh
from openmm_hybrid.core.errors import InputError, MismatchError
from tests.helpers import classical_ethanol as ethanol
from tests.helpers.boxes import NUMBERS, TRICLINIC, evaluate, make
from tests.helpers.morse import PairMorse

openmmml = pytest.importorskip("openmmml", reason="openmm-ml is not installed (it needs OpenMM 8.6.1 or later)")
pytestmark = pytest.mark.pythonforce
MODEL = PairMorse(NUMBERS)


def _potential(model: object) -> openmmml.MLPotential:
    return openmmml.MLPotential("openmm-hybrid", model=model)


def _same(one: openmm.System, other: openmm.System, positions: NDArray[np.float64], tolerance: float = 1e-9) -> None:
    """Energy and forces of all groups, relative to the largest."""
    (first, forces), (second, expected) = (
        tuple(part[0] for part in ethanol.predict(system, positions[None])) for system in (one, other)
    )
    assert first == pytest.approx(second, rel=tolerance, abs=1e-6)
    assert np.abs(forces - expected).max() <= max(tolerance * np.abs(expected).max(), 1e-6)


def test_whole_energy_from_a_file(tmp_path: Path) -> None:
    forcefield = ethanol.forcefield(cross=True)
    path = forcefield.save(tmp_path / "ethanol.npz")
    system = _potential(path).createSystem(ethanol.molecule()[1])
    frames = ethanol.frames(4)
    energies, forces = ethanol.predict(system, frames)
    expected = forcefield.predict(frames)
    np.testing.assert_allclose(energies, expected[0], atol=1e-6)
    np.testing.assert_allclose(forces, expected[1], atol=1e-5)
    assert any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces())


@pytest.mark.parametrize("model", [MODEL, "cross"])
def test_correction_is_what_attach_adds(model: PairMorse | str) -> None:
    """Two permuted, wrapped ethanols between waters in a triclinic box; constraints elsewhere stay."""
    case = ethanol.box(TRICLINIC, n_copies=2)
    chosen = ethanol.forcefield(cross=True).only("cross.angle") if model == "cross" else model
    mixed = _potential(chosen).createMixedSystem(
        case.topology, case.system, case.atoms.ravel().tolist(), embedding="correction", forceGroup=5
    )
    n_forces = case.system.getNumForces()
    oh.attach(case.system, case.topology, chosen, atoms=case.atoms, force_group=5)
    assert mixed.getNumForces() == case.system.getNumForces() > n_forces
    assert mixed.getNumConstraints() == case.system.getNumConstraints()
    _same(mixed, case.system, case.wrapped)
    np.testing.assert_array_equal(
        evaluate(mixed, case.wrapped, "Reference", group=5)[1],
        evaluate(case.system, case.wrapped, "Reference", group=5)[1],
    )


def test_a_parameter_scales_the_correction() -> None:
    case = make(box=TRICLINIC, n_waters=30)
    mixed = _potential(MODEL).createMixedSystem(
        case.topology, case.system, case.atoms[0], embedding="correction", interpolate=True, forceGroup=5
    )
    energy, forces = case.labels(MODEL)
    for scale in (0.0, 0.25, 1.0):
        got = evaluate(mixed, case.wrapped, "Reference", group=5, scale=("lambda_interpolate", scale))
        assert got[0] == pytest.approx(scale * energy, abs=1e-6)
        np.testing.assert_allclose(got[1], scale * forces, atol=1e-5)


def test_local_correction_takes_the_molecule() -> None:
    """The file knows which atoms of the molecule it is for."""
    from openmm_hybrid.systems.openmmml import HybridPotential

    correction = oh.correction.Correction(
        PairMorse(tuple(np.array(NUMBERS)[[2, 1, 8]])), np.array([2, 1, 8]), np.array(NUMBERS)
    )
    case = make(box=TRICLINIC, n_waters=30)
    mixed = HybridPotential(correction).createMixedSystem(
        case.topology, case.system, case.atoms[0].tolist(), 5, False, "correction"
    )
    oh.attach(case.system, case.topology, correction.model, atoms=case.atoms[0][[2, 1, 8]], force_group=5)
    _same(mixed, case.system, case.wrapped)


def test_mechanical_embedding_replaces_the_force_field() -> None:
    """In vacuum this is what replace does."""
    system, topology = ethanol.molecule()
    forcefield = ethanol.forcefield(cross=True)
    mixed = _potential(forcefield).createMixedSystem(topology, system, range(9))
    oh.replace(system, topology, forcefield)
    for frame in ethanol.frames(3):
        _same(mixed, system, frame, 1e-8)


@pytest.mark.parametrize("periodic", [False, True], ids=["vacuum", "water box"])
def test_mechanical_embedding_interpolates(periodic: bool) -> None:
    """openmm-ml asks for forces of an empty System then. λ = 0: the System given; λ = 1: the one not interpolated."""
    if periodic:
        case = ethanol.box(TRICLINIC)
        system, topology, atoms, positions = case.system, case.topology, case.atoms[0], case.whole
        (nonbonded,) = (force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
        nonbonded.setNonbondedMethod(openmm.NonbondedForce.PME)  # openmm-ml forgets the reaction field of a cutoff
        topology.setPeriodicBoxVectors([Vec3(*edge / 10) for edge in TRICLINIC] * unit.nanometer)
    else:
        system, topology = ethanol.molecule()
        atoms, positions = np.arange(9), ethanol.frames(1)[0]
    potential = _potential(ethanol.forcefield(cross=True))
    both = potential.createMixedSystem(topology, system, atoms.tolist(), interpolate=True)
    mixed = potential.createMixedSystem(topology, system, atoms.tolist())
    for scale, expected in ((0.0, system), (1.0, mixed)):
        (cv,) = (force for force in both.getForces() if isinstance(force, openmm.CustomCVForce))
        cv.setGlobalParameterDefaultValue(0, scale)
        _same(both, expected, positions, 1e-7)


def test_refusals() -> None:
    _, topology = ethanol.molecule()
    with pytest.raises(InputError, match="unknown force field 'ethanol-crass'"):
        _potential("ethanol-crass")
    with pytest.raises(MismatchError, match="8 atoms were given"):
        _potential(MODEL).createMixedSystem(topology, ethanol.molecule()[0], range(8), embedding="correction")
    with pytest.raises(MismatchError, match=r"atom 0 .* is C; expected O"):
        _potential(PairMorse((8, *NUMBERS[1:]))).createSystem(topology)


def test_import_stays_light() -> None:
    """openmm-ml imports the module of every entry point."""
    code = "import sys, openmmml, openmm_hybrid.systems.openmmml; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "scipy", "rdkit"} & set(done.stdout.split())
