"""A chain of six atoms whose exact residuals are known, so that no reference program is needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

import openmm_hybrid as oh
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.builder import Builder
from openmm_hybrid.forms.form import FunctionalForm
from openmm_hybrid.forms.fourier import Fourier
from openmm_hybrid.forms.fourier2d import Fourier2D
from openmm_hybrid.forms.harmonic import Harmonic
from openmm_hybrid.forms.morse import Morse
from openmm_hybrid.models.energy_model import EnergyModel

NUMBERS = np.array([8, 6, 6, 6, 7, 9])
BONDS = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
PAIR = (0, 4)  # atoms whose distance the planted residual depends on


def frames(n: int, seed: int = 0) -> oh.Frames:
    """Geometries of the chain with random torsions and a little noise."""
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < n:
        r = np.zeros((6, 3))
        r[1], r[2] = [1.4, 0.0, 0.0], [2.0, 1.3, 0.0]
        for k in range(3, 6):
            r[k] = _placed(r[k - 3], r[k - 2], r[k - 1], rng.uniform(-np.pi, np.pi))
        i, j = np.triu_indices(6, 3)
        if np.linalg.norm(r[i] - r[j], axis=1).min() > 1.8:
            found.append(r + rng.normal(scale=0.03, size=r.shape))
    return oh.Frames(NUMBERS, np.array(found), name="chain")


def _placed(a: NDArray, b: NDArray, c: NDArray, torsion: float) -> NDArray:
    """The atom 1.45 Å from c, at 112° to b, at this dihedral to a."""
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    bend = np.radians(112.0)
    across = np.cross(normal, axis)
    direction = -np.cos(bend) * axis + np.sin(bend) * (np.cos(torsion) * across + np.sin(torsion) * normal)
    return np.asarray(c + 1.45 * direction)


def field(group: str, form: FunctionalForm, atoms: tuple[int, ...], row: list[float]) -> ForceField:
    """A force field of one term."""
    builder = Builder(NUMBERS, BONDS)
    builder.add(group, form, {atoms: row})
    return ForceField(builder.finish())


def base() -> ForceField:
    """A force field of the bonds alone."""
    builder = Builder(NUMBERS, BONDS)
    builder.add("bonds", Harmonic("distance"), {tuple(bond): [500.0, 1.45] for bond in BONDS.tolist()})
    return ForceField(builder.finish())


def attraction() -> ForceField:
    """A well in the distance of PAIR: the planted residual of one distance."""
    return field("well", Morse(), PAIR, [2.0, 1.0, 3.2])


def twist() -> ForceField:
    """A planted residual of one torsion."""
    return field("twist", Fourier(3), (1, 2, 3, 4), [0.0, 1.0, -2.0, 0.7])


def coupled() -> ForceField:
    """A planted residual of two torsions at once, cos(u) cos(v) + 2 sin(u) sin(2 v)."""
    form = Fourier2D("dihedral 0 1 2 3", "dihedral 1 2 3 4", order=2)
    row = [0.0] * len(form.columns)
    row[form.waves().index(("a", 1, 1))], row[form.waves().index(("b", 1, 2))] = 1.0, 2.0
    return field("coupled", form, (0, 1, 2, 3, 4), row)


def labelled(planted: EnergyModel, n: int = 200, seed: int = 0) -> oh.Frames:
    """Frames labelled with the sum of the base force field and a planted residual."""
    geometries = frames(n, seed)
    energies, forces = oh.Sum((base(), planted)).predict(geometries.positions)
    return replace(geometries, energies=energies, forces=forces)


def system() -> tuple[openmm.System, app.Topology]:
    """The chain without forces, for models that are attached."""
    system, topology = openmm.System(), app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    elements = [app.Element.getByAtomicNumber(int(number)) for number in NUMBERS]
    atoms = [topology.addAtom(f"A{k}", element, residue) for k, element in enumerate(elements)]
    for i, j in BONDS:
        topology.addBond(atoms[i], atoms[j])
    for _ in atoms:
        system.addParticle(12.0)
    return system, topology


@dataclass(frozen=True, eq=False)
class Teacher(EnergyModel):
    """A model without a TorchScript form."""

    inner: EnergyModel

    @property
    def atomic_numbers(self) -> NDArray[np.int64]:
        return self.inner.atomic_numbers

    def evaluate(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.inner.evaluate(positions)
