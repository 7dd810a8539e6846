"""``MLPotential("openmm-hybrid", model=…)`` for openmm-ml, which finds it in the entry-point group openmmml.potentials.

openmm-ml loads every entry point when it is imported, so this module imports the heavy modules of this package only
when a potential is made.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, final

import openmm
from openmm import app
from openmmml.mlpotential import MLPotentialImpl, MLPotentialImplFactory

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from openmm_hybrid.models.energy_model import EnergyModel
    from openmm_hybrid.models_io.correction import Correction

EMBEDDING = "correction"
"""The embedding that keeps the force field and adds the model to it."""

_LAMBDA = "lambda_interpolate"  # openmm-ml's name of the global parameter


@final
class HybridPotentialFactory(MLPotentialImplFactory):
    """Makes potentials for openmm-ml from this package's models."""

    def createImpl(self, name: str, *, model: str | Path | EnergyModel | Correction) -> HybridPotential:
        """The potential of ``MLPotential("openmm-hybrid", model=model)``.

        Parameters
        ----------
        name : str
            "openmm-hybrid"; ignored.
        model : str, Path, EnergyModel or Correction
            A file of `openmm_hybrid.load`, the name of a shipped model, or a model or correction in memory.

        Raises
        ------
        InputError
            The file is missing or damaged, or no shipped model has this name.
        """
        from openmm_hybrid.models.energy_model import EnergyModel
        from openmm_hybrid.models_io.any_model import load_correction
        from openmm_hybrid.models_io.correction import Correction

        if isinstance(model, EnergyModel):
            return HybridPotential(Correction(model))
        return HybridPotential(model if isinstance(model, Correction) else load_correction(model))


@final
class HybridPotential(MLPotentialImpl):
    """A potential of openmm-ml that evaluates one of this package's models.

    Use a model of the whole energy, such as a fitted force field or sGDML of energies, with ``createSystem`` and with
    openmm-ml's own embeddings, which remove the force field's terms inside the molecule. Use a correction with
    ``createMixedSystem(…, embedding="correction")``, which keeps these terms.

    Parameters
    ----------
    correction : Correction
    """

    def __init__(self, correction: Correction) -> None:
        self._correction = correction

    def addForces(
        self,
        topology: app.Topology,
        system: openmm.System,
        atoms: Iterable[int] | None,
        forceGroup: int,
        *,
        backend: str = "auto",
        dtype: str = "float64",
    ) -> None:
        """Add the model's forces; ``createSystem`` and openmm-ml's own embeddings call this method.

        Parameters
        ----------
        topology : openmm.app.Topology
        system : openmm.System
            A System with the topology's particles, or still without particles. A System without forces counts as
            periodic if the topology has a box.
        atoms : iterable of int or None
            Particles of one molecule, in the atom order of the model's data; None for all particles.
        forceGroup : int
        backend, dtype
            As in `attach`; arguments of ``createSystem`` and ``createMixedSystem``.

        Raises
        ------
        MismatchError
            The atoms are not those of the model.
        MissingDependencyError
            No backend works here.
        """
        chosen = list(range(topology.getNumAtoms()) if atoms is None else atoms)
        stage = system if system.getNumForces() else _stage(topology)
        for force in self._forces(stage, topology, self._correction.on(chosen), forceGroup, None, backend, dtype):
            system.addForce(force)

    def createMixedSystem(
        self,
        topology: app.Topology,
        system: openmm.System,
        atoms: list[int],
        forceGroup: int,
        interpolate: bool,
        embedding: str,
        returnInfo: bool = False,
        *,
        backend: str = "auto",
        dtype: str = "float64",
    ) -> openmm.System:
        """A copy of the System with the correction added; all its forces stay.

        Parameters
        ----------
        topology : openmm.app.Topology
        system : openmm.System
            The System to copy; it is not changed.
        atoms : list of int
            Particles of the molecule in the atom order of the correction's data. A correction of all atoms also
            accepts several molecules, one after the other.
        forceGroup : int
        interpolate : bool
            Whether to add the global parameter "lambda_interpolate", which multiplies the correction. PythonForce
            has no derivative with respect to it.
        embedding : str
            "correction".
        returnInfo : bool
            Ignored: topology and atoms do not change, and openmm-ml reports them itself.
        backend, dtype
            As in `attach`.

        Raises
        ------
        MismatchError
            The atoms are not those of the model.
        MissingDependencyError
            No backend works here.
        """
        mixed = copy.deepcopy(system)
        scale = _LAMBDA if interpolate else None
        for force in self._forces(mixed, topology, self._copies(atoms), forceGroup, scale, backend, dtype):
            mixed.addForce(force)
        return mixed

    def getSupportedEmbeddings(self) -> list[str]:
        """Names of the embeddings that this potential adds to openmm-ml's own."""
        return [EMBEDDING]

    def getMLLongRange(self) -> bool:
        """Whether the model includes periodic images of the molecule: it does not."""
        return False

    def _forces(
        self,
        system: openmm.System,
        topology: app.Topology,
        atoms: NDArray[np.int64],
        force_group: int,
        scale: str | None,
        backend: str,
        dtype: str,
    ) -> list[openmm.Force]:
        """The forces that `attach` would add, without its warning: openmm-ml removes constraints inside `atoms`."""
        from openmm_hybrid.models.torchscript import torch_dtype
        from openmm_hybrid.systems.attach import planned_forces
        from openmm_hybrid.systems.placement import locate

        torch_dtype(dtype)
        model = self._correction.model
        placement = locate(system, topology, model, atoms=atoms, scale=scale, force_group=force_group)
        return planned_forces(system, placement, backend, dtype)

    def _copies(self, atoms: list[int]) -> NDArray[np.int64]:
        import numpy as np

        n_atoms = self._correction.model.n_atoms
        several = self._correction.atoms is None and len(atoms) > 0 and len(atoms) % n_atoms == 0
        return self._correction.on(np.reshape(atoms, (-1, n_atoms)) if several else atoms)


def _stage(topology: app.Topology) -> openmm.System:
    """A System with the particles and the periodicity of a topology, for `locate`."""
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(0.0 if atom.element is None else atom.element.mass)
    if topology.getPeriodicBoxVectors() is not None:
        system.setDefaultPeriodicBoxVectors(*topology.getPeriodicBoxVectors())
        periodic = openmm.HarmonicBondForce()
        periodic.setUsesPeriodicBoundaryConditions(True)
        system.addForce(periodic)
    return system
