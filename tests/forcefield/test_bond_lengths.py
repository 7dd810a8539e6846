"""Mean bond lengths: analytic ones of single bonds, and those of long runs of molecules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openmm
import pytest
from openmm import app, unit

from openmm_hybrid.core.errors import NumericalError
from openmm_hybrid.core.units import BOLTZMANN
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.bond_lengths import mean_bond_lengths
from tests.helpers.classical_ethanol import forcefield

KT = BOLTZMANN * 300.0


def diatomic() -> ForceField:
    """HCl with r₀ = 1.27 Å and k = 750 kcal/mol/Å²."""
    topology, system = app.Topology(), openmm.System()
    residue = topology.addResidue("HCL", topology.addChain())
    atoms = [topology.addAtom(symbol, app.Element.getBySymbol(symbol), residue) for symbol in ("H", "Cl")]
    topology.addBond(*atoms)
    for atom in atoms:
        system.addParticle(atom.element.mass)
    bonds = openmm.HarmonicBondForce()
    bonds.addBond(0, 1, 0.127, 750.0 * 418.4)
    system.addForce(bonds)
    return ForceField.from_system(system, topology)


def test_harmonic_diatomic() -> None:
    """⟨r⟩ − r₀ = 2kT/(k r₀) to first order in kT, from the factor r²."""
    found = mean_bond_lengths(diatomic(), [(0, 1)], 300.0)
    assert found[0, 1] == pytest.approx(1.27 + 2 * KT / (750 * 1.27), abs=1e-4)


def test_morse_diatomic() -> None:
    """The anharmonicity adds 3akT/(2k), with k = 2Da²."""
    morse = diatomic().edit(bonds="morse")
    depth, a, r0 = morse.tables.values(morse.group("bonds.morse" if "bonds.morse" in morse.groups else "bonds"))[0]
    stiffness = 2 * depth * a**2
    expected = r0 + 1.5 * a * KT / stiffness + 2 * KT / (stiffness * r0)
    assert mean_bond_lengths(morse, [(0, 1)], 300.0)[0, 1] == pytest.approx(expected, abs=2e-4)
    hot = mean_bond_lengths(morse, [(0, 1)], 600.0)[0, 1]
    assert hot - r0 == pytest.approx(2 * (expected - r0), rel=0.1)


def sampled(model: ForceField, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Mean lengths (Å) of the model's bonds in 40 ps at 300 K."""
    import openmm_hybrid as oh
    from tests.helpers.boxes import ETHANOL
    from tests.helpers.classical_ethanol import molecule

    system, topology = molecule()
    oh.replace(system, topology, model)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 5.0, 0.0005)
    integrator.setRandomNumberSeed(3)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(ETHANOL / 10)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=200)
    integrator.step(2000)
    lengths = []
    for _ in range(8000):
        integrator.step(10)
        r = context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        lengths.append([np.linalg.norm(r[i] - r[j]) for i, j in pairs])
    return np.mean(lengths, axis=0)


def test_means_of_a_run() -> None:
    """Bonds to hydrogen to 0.002 Å, though other terms pull on them by more."""
    model = forcefield(bonds="morse", cross=["angle"])
    pairs = [(0, 3), (0, 4), (0, 5), (1, 6), (1, 7), (2, 8)]
    found = mean_bond_lengths(model, pairs, 300.0)
    assert found[0, 3] == found[0, 4] == found[0, 5]
    means = sampled(model, pairs)
    expected = [means[:3].mean()] * 3 + [means[3:5].mean()] * 2 + [means[5]]
    np.testing.assert_allclose([found[pair] for pair in pairs], expected, rtol=0, atol=0.002)
    assert found == mean_bond_lengths(model, pairs, 300.0)


def test_a_molecule_without_bonds_is_refused() -> None:
    """Bonds without a term have no length."""
    model = forcefield().only("angles", "coulomb", "lj.pairs")
    with pytest.raises(NumericalError, match="no geometry of 'ethanol' was found"):
        mean_bond_lengths(model, [(0, 3)], 300.0)
