"""Conformance suite of reference engines: inherit it in a test module and implement `make`.

class TestMyEngine(ReferenceEngineSuite):
    def make(self, charge=0, multiplicity=1):
        return MyEngine(charge=charge, multiplicity=multiplicity)
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from openmm_hybrid.core.errors import InputError, NumericalError
from openmm_hybrid.reference.reference_engine import ReferenceEngine


class ReferenceEngineSuite:
    """Conformance tests of a ReferenceEngine, on water unless `atomic_numbers` and `positions` are overridden.

    The molecule must be a neutral closed shell of at least three atoms. Tolerances: `gradient_tolerance`
    (kcal/mol/Å) for forces, `energy_tolerance` (kcal/mol) for the energy of a rotated molecule; loosen the latter for
    an engine with an integration grid of fixed orientation.
    """

    atomic_numbers = np.array([8, 1, 1])
    positions = np.array([[0.0, 0.03, 0.127], [0.02, 0.787, -0.459], [0.06, -0.757, -0.469]])
    gradient_tolerance = 0.02
    energy_tolerance = 1e-4

    def make(self, charge: int = 0, multiplicity: int = 1) -> ReferenceEngine:
        """The engine for this charge and multiplicity; an engine that cannot be set to them raises InputError."""
        raise NotImplementedError("implement make(charge, multiplicity)")

    @pytest.fixture
    def engine(self) -> ReferenceEngine:
        return self.make()

    def test_shapes_of_one_frame(self, engine: ReferenceEngine) -> None:
        energy, forces = engine.compute(self.atomic_numbers, self.positions)
        assert isinstance(energy, float)
        assert forces.shape == self.positions.shape
        assert forces.dtype == np.float64
        with pytest.raises(InputError, match=rf"shape \(1, {len(self.positions)}, 3\)"):
            engine.compute(self.atomic_numbers, self.positions[None])

    def test_forces_are_minus_the_gradient(self, engine: ReferenceEngine) -> None:
        _, forces = engine.compute(self.atomic_numbers, self.positions)
        step = 1e-3
        for atom, axis in ((0, 2), (1, 1), (2, 0)):
            shift = np.zeros_like(self.positions)
            shift[atom, axis] = step
            up, down = (self._energy(engine, self.positions + sign * shift) for sign in (1, -1))
            assert forces[atom, axis] == pytest.approx((down - up) / (2 * step), abs=self.gradient_tolerance)

    def test_invariant_under_translation_and_rotation(self, engine: ReferenceEngine) -> None:
        rotation = Rotation.random(rng=np.random.default_rng(1)).as_matrix()
        energy, forces = engine.compute(self.atomic_numbers, self.positions)
        shifted_energy, shifted_forces = engine.compute(
            self.atomic_numbers, self.positions + np.array([3.0, -2.0, 1.0])
        )
        assert shifted_energy == pytest.approx(energy, abs=1e-4)
        np.testing.assert_allclose(shifted_forces, forces, atol=self.gradient_tolerance)
        turned_energy, turned_forces = engine.compute(self.atomic_numbers, self.positions @ rotation.T)
        assert turned_energy == pytest.approx(energy, abs=self.energy_tolerance)
        np.testing.assert_allclose(turned_forces, forces @ rotation.T, atol=self.gradient_tolerance)

    def test_a_label_does_not_depend_on_those_before_it(self, engine: ReferenceEngine) -> None:
        energy, forces = engine.compute(self.atomic_numbers, self.positions)
        engine.compute(self.atomic_numbers, 1.05 * self.positions)
        again = engine.compute(self.atomic_numbers, self.positions)
        assert again[0] == pytest.approx(energy, abs=1e-6)
        np.testing.assert_allclose(again[1], forces, atol=1e-5)

    def test_refuses_overlap_and_bad_input(self, engine: ReferenceEngine) -> None:
        overlapping = self.positions.copy()
        overlapping[1] = overlapping[0] + np.array([0.0, 0.0, 0.05])
        with pytest.raises(NumericalError, match=r"atoms 0 and 1 overlap: they are 0\.050 Å apart"):
            engine.compute(self.atomic_numbers, overlapping)
        with pytest.raises(InputError, match=rf"shape \({len(self.positions) - 1}, 3\)"):
            engine.compute(self.atomic_numbers, self.positions[:-1])
        with pytest.raises(InputError, match="not finite"):
            engine.compute(self.atomic_numbers, self.positions * np.nan)

    def test_charge_and_multiplicity_are_honoured_or_refused(self) -> None:
        neutral = self.make()
        energies, theories = [self._energy(neutral, self.positions)], [neutral.theory]
        for charge, multiplicity in ((1, 2), (0, 3)):
            try:
                other = self.make(charge, multiplicity)
            except InputError:
                continue
            assert other.net_charge == charge
            energies.append(self._energy(other, self.positions))
            theories.append(other.theory)
        assert all(energy > energies[0] + 1.0 for energy in energies[1:]), energies
        assert len(set(theories)) == len(theories), theories

    @pytest.mark.parametrize(("charge", "multiplicity"), [(1, 1), (0, 2), (-1, 3), (0, 0)])
    def test_refuses_a_multiplicity_that_the_electrons_cannot_have(self, charge: int, multiplicity: int) -> None:
        with pytest.raises(InputError):
            self.make(charge, multiplicity).check(self.atomic_numbers)

    def test_theory_names_what_decides_a_label(self, engine: ReferenceEngine) -> None:
        assert engine.theory.strip() == engine.theory != ""
        assert self.make().theory == engine.theory

    def _energy(self, engine: ReferenceEngine, positions: NDArray[np.float64]) -> float:
        return engine.compute(self.atomic_numbers, positions)[0]
