"""Conformance suite of backends: inherit it in a test module and give two fixtures.

class TestMyBackend(BackendSuite):
    @pytest.fixture
    def backend(self): ...
    @pytest.fixture
    def model(self): ...
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import openmm
import pytest
from numpy.typing import NDArray
from openmm import app, unit

from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.systems.backends.backend import Backend
from openmm_hybrid.systems.placement import locate

_BOXES = {
    "vacuum": None,
    "rectangular": np.diag([28.0, 30.0, 32.0]),
    "triclinic": np.array([[29.0, 0.0, 0.0], [9.0, 28.0, 0.0], [-11.0, 13.0, 27.0]]),
}
"""Box vectors as rows, Å, in the reduced form that OpenMM requires."""

_GROUP = 5


@final
@dataclass(frozen=True, eq=False)
class Surroundings:
    """A System of two kinds of particles: copies of the model's molecule, and argon atoms between them.

    Parameters
    ----------
    system, topology : openmm.System, openmm.app.Topology
        Without forces in vacuum, with an empty periodic force in a box.
    atoms : (n_copies, n_atoms)
        Particles in the model's atom order; the System has them in another order.
    whole : (n_particles, 3)
        Positions with whole molecules, Å.
    positions : (n_particles, 3)
        The same positions, in a box with each atom wrapped into it separately, Å.
    """

    system: openmm.System
    topology: app.Topology
    atoms: NDArray[np.int64]
    whole: NDArray[np.float64]
    positions: NDArray[np.float64]

    def predict(self, model: EnergyModel) -> tuple[float, NDArray[np.float64]]:
        """The model's energy (kcal/mol) and forces (n_particles, 3) (kcal/mol/Å) for the whole molecules."""
        energies, molecules = model.predict(self.whole[self.atoms])
        forces = np.zeros_like(self.whole)
        forces[self.atoms] = molecules
        return float(energies.sum()), forces

    def add(
        self, backend: Backend, model: EnergyModel, *, scale: str = "", force_group: int = _GROUP
    ) -> list[openmm.Force]:
        """Add the backend's forces of the model to the System."""
        placement = locate(
            self.system, self.topology, model, atoms=self.atoms, scale=scale or None, force_group=force_group
        )
        forces = backend.forces(placement)
        for force in forces:
            self.system.addForce(force)
        return forces


class BackendSuite:
    """Conformance tests of a Backend.

    Fixtures to give: ``backend`` (Backend) and ``model``, an EnergyModel that it takes. The suite puts the model's
    molecule into its own Systems. Its ``geometry`` (n_atoms, 3), Å, is a twisted chain and its ``bonds`` are those of
    a chain; override both where the model needs another molecule. ``foreign`` lists models that the backend refuses.
    OpenMM's Reference platform is compared with ``model.predict`` to `energy_tolerance` (kcal/mol) and
    `force_tolerance` (kcal/mol/Å). Tests that need forces are skipped where the backend does not work.
    """

    energy_tolerance = 1e-6
    force_tolerance = 1e-5

    @pytest.fixture
    def geometry(self, model: EnergyModel) -> NDArray[np.float64]:
        steps = np.arange(model.n_atoms)
        helix = np.stack([0.9 * np.cos(1.9 * steps), 0.9 * np.sin(1.9 * steps), 0.55 * steps], axis=1)
        return helix + np.random.default_rng(5).normal(scale=0.05, size=helix.shape)

    @pytest.fixture
    def bonds(self, model: EnergyModel) -> Sequence[tuple[int, int]]:
        return [(k, k + 1) for k in range(model.n_atoms - 1)]

    @pytest.fixture
    def foreign(self, model: EnergyModel) -> Sequence[EnergyModel]:
        return [_Foreign(model.atomic_numbers)]

    @pytest.fixture
    def working(self, backend: Backend) -> Backend:
        """The backend, if it works here."""
        state = backend.state()
        if not state.works:
            pytest.skip(f"{backend.name} is {state.status}: {state.detail}")
        return backend

    @pytest.fixture(params=[("vacuum", 1), ("rectangular", 3), ("triclinic", 2)], ids=list(_BOXES))
    def surroundings(
        self,
        request: pytest.FixtureRequest,
        model: EnergyModel,
        geometry: NDArray[np.float64],
        bonds: Sequence[tuple[int, int]],
    ) -> Surroundings:
        box, n_copies = request.param
        return _surroundings(model.atomic_numbers, geometry, bonds, n_copies, _BOXES[box])

    @pytest.fixture
    def alone(
        self, model: EnergyModel, geometry: NDArray[np.float64], bonds: Sequence[tuple[int, int]]
    ) -> Surroundings:
        """One molecule in the triclinic box."""
        return _surroundings(model.atomic_numbers, geometry, bonds, 1, _BOXES["triclinic"])

    def agree(self, found: tuple[float, NDArray[np.float64]], expected: tuple[float, NDArray[np.float64]]) -> None:
        """Assert that energies and forces agree within the tolerances."""
        assert np.abs(expected[1]).max() > 100 * self.force_tolerance, "small forces test nothing: give another model"
        assert abs(found[0] - expected[0]) <= self.energy_tolerance
        np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=self.force_tolerance)

    def test_facts_belong_to_the_class(self, backend: Backend) -> None:
        kind = type(backend)
        assert backend.name.isidentifier()
        assert kind().name == backend.name, "a backend is made without arguments"
        for fact in ("needs_torch", "exact", "parameter_derivatives", "holds_code", "holds_pickle"):
            assert getattr(kind, fact) in (True, False), fact
        assert isinstance(kind.force_type, str)
        assert bool(kind.force_type) or not kind.holds_code, "the force that holds code is known by its type"
        assert kind.holds_code or not kind.holds_pickle, "a pickle is code"
        assert isinstance(kind.not_beside, tuple)
        assert kind.force_type not in kind.not_beside, "forces of one backend may be in the same System"

    def test_state_is_told_with_a_hint(self, backend: Backend) -> None:
        state = backend.state()
        assert state.status in ("works", "missing", "incompatible")
        assert state.works == (state.status == "works")
        assert state.detail
        assert bool(state.hint) != state.works
        assert backend.state() == state
        assert state.works or backend.needs_torch or backend.force_type, "OpenMM's ordinary forces always work"

    def test_takes_its_model_and_refuses_others(
        self, backend: Backend, model: EnergyModel, foreign: Sequence[EnergyModel]
    ) -> None:
        assert backend.takes(model)
        assert not any(backend.takes(other) for other in foreign)

    def test_reproduces_the_model(self, working: Backend, model: EnergyModel, surroundings: Surroundings) -> None:
        """Wrapped molecules of one or several copies, among other particles, with the atoms in another order."""
        forces = surroundings.add(working, model)
        assert forces
        if working.force_type:
            assert len(forces) == 1
            assert f'type="{working.force_type}"' in openmm.XmlSerializer.serialize(surroundings.system)
            assert any(working.made(force) for force in surroundings.system.getForces())
        self.agree(_evaluate(surroundings.system, surroundings.positions), surroundings.predict(model))

    def test_carries_a_sum(self, working: Backend, model: EnergyModel, alone: Surroundings) -> None:
        """The parts of a Sum that one backend takes come to it together."""
        alone.add(working, Sum((model, model)))
        energy, forces = alone.predict(model)
        self.agree(_evaluate(alone.system, alone.positions), (2 * energy, 2 * forces))

    def test_force_group(self, working: Backend, model: EnergyModel, alone: Surroundings) -> None:
        forces = alone.add(working, model, force_group=17)
        assert {force.getForceGroup() for force in forces} == {17}
        energy, _ = _evaluate(alone.system, alone.positions, group=16)
        assert energy == 0.0

    def test_scale_multiplies_energy_and_forces(
        self, working: Backend, model: EnergyModel, surroundings: Surroundings
    ) -> None:
        surroundings.add(working, model, scale="lambda")
        energy, forces = surroundings.predict(model)
        self.agree(_evaluate(surroundings.system, surroundings.positions), (energy, forces))  # it starts at 1
        for scale in (0.25, 0.0):
            found = _evaluate(surroundings.system, surroundings.positions, {"lambda": scale})
            assert abs(found[0] - scale * energy) <= self.energy_tolerance
            np.testing.assert_allclose(found[1], scale * forces, rtol=0, atol=self.force_tolerance)

    @pytest.mark.parametrize("scale", [0.0, 0.7])
    def test_derivative_by_the_scale(
        self, working: Backend, model: EnergyModel, alone: Surroundings, scale: float
    ) -> None:
        """E(λ) = λ E, so dE/dλ = E at any λ."""
        if not working.parameter_derivatives:
            pytest.skip(f"{working.name} gives no derivative by the scale")
        alone.add(working, model, scale="lambda")
        context = _context(alone.system, alone.positions, {"lambda": scale})
        derivative = context.getState(parameterDerivatives=True).getEnergyParameterDerivatives()["lambda"]
        assert abs(derivative / 4.184 - alone.predict(model)[0]) <= self.energy_tolerance

    def test_xml_and_deepcopy_keep_the_forces(self, working: Backend, model: EnergyModel, alone: Surroundings) -> None:
        """XML is left out where the force holds code: `save_system` makes this force again from the model."""
        alone.add(working, model, scale="lambda")
        expected = _evaluate(alone.system, alone.positions, {"lambda": 0.5})
        copies = [copy.deepcopy(alone.system)]
        if not working.holds_code:
            copies.append(openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(alone.system)))
        for twin in copies:
            energy, forces = _evaluate(twin, alone.positions, {"lambda": 0.5})
            assert energy == pytest.approx(expected[0], rel=1e-12)
            np.testing.assert_allclose(forces, expected[1], rtol=0, atol=1e-9)


@final
class _Foreign(EnergyModel):
    """An energy model that no backend knows: no force field, and without a TorchScript form."""

    def __init__(self, atomic_numbers: NDArray[np.int64]) -> None:
        self._atomic_numbers = atomic_numbers

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        return self._atomic_numbers

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.zeros(len(positions)), np.zeros_like(positions)


def _surroundings(
    atomic_numbers: NDArray[np.int64],
    geometry: NDArray[np.float64],
    bonds: Sequence[tuple[int, int]],
    n_copies: int,
    box: NDArray[np.float64] | None,
) -> Surroundings:
    """Rotated molecules with permuted atoms, an argon atom before each; in a box the first lies across its corner."""
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(7)
    topology, system = app.Topology(), openmm.System()
    chain = topology.addChain()
    whole: list[NDArray[np.float64]] = []
    atoms = np.zeros((n_copies, len(atomic_numbers)), dtype=np.int64)
    for number in range(n_copies):
        centre = number * np.array([8.0, 7.0, 9.0])
        topology.addAtom("AR", app.Element.getBySymbol("Ar"), topology.addResidue("AR", chain))
        system.addParticle(39.9)
        whole.append(centre + np.array([4.0, 3.5, 4.5]))
        residue = topology.addResidue("MOL", chain)
        molecule = Rotation.random(rng=rng).apply(geometry - geometry.mean(axis=0)) + centre
        members = {}
        for atom in rng.permutation(len(atomic_numbers)).tolist():
            element = app.Element.getByAtomicNumber(int(atomic_numbers[atom]))
            members[atom] = topology.addAtom(f"{element.symbol}{atom}", element, residue)
            atoms[number, atom] = system.addParticle(element.mass)
            whole.append(molecule[atom])
        for first, second in bonds:
            topology.addBond(members[first], members[second])
    stacked = np.array(whole)
    if box is None:
        return Surroundings(system, topology, atoms, stacked, stacked)
    system.setDefaultPeriodicBoxVectors(*(box / 10))
    periodic = openmm.HarmonicBondForce()
    periodic.setUsesPeriodicBoundaryConditions(True)
    system.addForce(periodic)
    return Surroundings(system, topology, atoms, stacked, (stacked @ np.linalg.inv(box)) % 1.0 @ box)


def _context(system: openmm.System, positions: NDArray[np.float64], parameters: dict[str, float]) -> openmm.Context:
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions / 10)
    for name, value in parameters.items():
        context.setParameter(name, value)
    return context


def _evaluate(
    system: openmm.System,
    positions: NDArray[np.float64],
    parameters: dict[str, float] | None = None,
    *,
    group: int = _GROUP,
) -> tuple[float, NDArray[np.float64]]:
    """Energy (kcal/mol) and forces (n_particles, 3) (kcal/mol/Å) of a force group."""
    state = _context(system, positions, parameters or {}).getState(energy=True, forces=True, groups={group})
    per_angstrom = unit.kilocalorie_per_mole / unit.angstrom
    energy = state.getPotentialEnergy().value_in_unit(unit.kilocalorie_per_mole)
    return energy, state.getForces(asNumpy=True).value_in_unit(per_angstrom)
