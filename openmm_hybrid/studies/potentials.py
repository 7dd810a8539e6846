"""The potentials that the sampling study compares, each made from the ones before it, and their ensembles."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast, final

import numpy as np

from openmm_hybrid import correction
from openmm_hybrid.core.errors import InputError
from openmm_hybrid.correction import Gated
from openmm_hybrid.data.frames import Frames
from openmm_hybrid.fitting import fit
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.models.compose import Sum
from openmm_hybrid.models.energy_model import EnergyModel
from openmm_hybrid.sampling.sample_result import SampleResult
from openmm_hybrid.sgdml import SGDMLModel, training_distance
from openmm_hybrid.studies.workspace import Workspace
from openmm_hybrid.systems.replace import replace

REFERENCE, PLAIN = "reference", "gaff"
"""Names of the reference and of plain GAFF among `POTENTIALS`."""

SIGMA = 1.0
"""Length of the reference's kernel, 1/Å, as short as for any correction."""

_GATE_WIDTH = 0.3
"""Width of the gate of all-atom models. The gate begins at the largest leave-one-out distance in the training set."""

_RESTRAINT = 0.01  # restraint of the refitted force field to its initial parameters, (kcal/mol/Å)²


@final
@dataclass(frozen=True, eq=False)
class Potential:
    """A potential as OpenMM samples it, and as one model.

    Parameters
    ----------
    system : openmm.System
    models : tuple of EnergyModel
        Models added to the System.
    whole : EnergyModel
        Model of the total energy of both.
    """

    system: Any = field(repr=False)
    models: tuple[EnergyModel, ...]
    whole: EnergyModel


def potential(workspace: Workspace, name: str) -> Potential:
    """One of `POTENTIALS`, from files in the workspace where they exist.

    Raises
    ------
    InputError
        Unknown name.
    """
    if name not in POTENTIALS:
        raise InputError(f"unknown potential {name!r}", expected=f"one of {', '.join(POTENTIALS)}")
    return POTENTIALS[name](workspace)


def ensemble(workspace: Workspace, name: str, *, training: bool = False) -> SampleResult:
    """The dynamics of a potential, run once.

    Parameters
    ----------
    workspace : Workspace
    name : str
        One of `POTENTIALS`.
    training : bool
        Take the separate run that corrections are trained on instead of the run that is compared.
    """
    settings, wanted = workspace.settings, potential(workspace, name)
    return workspace.sampled(
        wanted.system,
        wanted.models,
        workspace.folder / "runs" / (f"{name}-training" if training else name),
        workspace.starts(training=training),
        settings.training_duration if training else settings.duration,
    )


def training_frames(workspace: Workspace, name: str) -> Frames:
    """Frames of a potential's training run, without labels."""
    positions = ensemble(workspace, name, training=True).positions
    return Frames(workspace.molecule.atomic_numbers, positions, name=workspace.molecule.name)


def mixed_frames(workspace: Workspace) -> Frames:
    """Equal numbers of frames from GAFF's and the reference's training runs, in random order, without labels.

    The free energy that a force field misses lies between the mean missing energy in the force field's ensemble and
    the mean in the reference's ensemble (Gibbs-Bogoliubov). The average of both means is correct to second order, like
    the trapezoidal rule of thermodynamic integration.
    """
    rng = np.random.default_rng(0)
    half = workspace.settings.n_fit // 2
    ensembles = [training_frames(workspace, name) for name in (PLAIN, REFERENCE)]
    parts = [frames[rng.choice(len(frames), min(half, len(frames)), replace=False)] for frames in ensembles]
    return Frames.concatenate(parts)[rng.permutation(sum(map(len, parts)))]


def _reference(workspace: Workspace) -> Potential:
    """A gated sGDML model of the error of refitted GAFF with cross terms; outside the gate the force field remains."""

    def make(path: Path) -> None:
        base, train = potential(workspace, "cross").whole, workspace.data.train
        model = correction.train(
            base, train, sigma=SIGMA, n_valid=0, molecule=workspace.molecule, progress=workspace.progress
        )
        distances = training_distance(cast(SGDMLModel, model.model)).left_out
        lower = math.ceil(10.0 * distances.max()) / 10.0
        model.gated(train, lower=lower, upper=round(lower + _GATE_WIDTH, 1)).save(path)

    return _corrected(workspace, potential(workspace, "cross"), workspace.model_file(REFERENCE, make))


def _gaff(workspace: Workspace) -> Potential:
    """GAFF with the charges of the settings."""
    return Potential(workspace.built.system, (), workspace.forcefield)


def _am1bcc(workspace: Workspace) -> Potential:
    """GAFF with AM1-BCC charges."""
    built = workspace.gaff_with("am1-bcc")
    return Potential(built.system, (), ForceField.from_system(built.system, built.topology))


def _cross(workspace: Workspace) -> Potential:
    """GAFF refitted with cross terms."""

    def make(path: Path) -> None:
        edited, train = workspace.forcefield.edit(propers="fourier4", cross=True), workspace.data.train
        found = fit(edited, train, n_train=len(train), n_test=0, restraint=_RESTRAINT, progress=workspace.progress)
        found.model.save(path)

    model = ForceField.load(workspace.model_file("cross", make))
    system = copy.deepcopy(workspace.built.system)
    replace(system, workspace.built.topology, model)
    return Potential(system, (), model)


def _global(workspace: Workspace) -> Potential:
    """GAFF and a gated sGDML model of all atoms, trained on frames of both ensembles with the reference's labels."""

    def make(path: Path) -> None:
        frames, reference = mixed_frames(workspace), potential(workspace, REFERENCE)
        model = correction.train(
            workspace.forcefield,
            frames,
            reference=reference.whole,
            n_valid=0,
            molecule=workspace.molecule,
            progress=workspace.progress,
        )
        gate = cast(Gated, reference.models[-1])
        model.gated(frames, lower=gate.lower, upper=gate.upper).save(path)

    return _corrected(workspace, _gaff(workspace), workspace.model_file("global", make))


def _local_forces(workspace: Workspace) -> Potential:
    """GAFF and a gated sGDML model of a few atoms, trained on frames of both ensembles with the reference's labels."""

    def make(path: Path) -> None:
        frames = mixed_frames(workspace)
        found = correction.train_local(
            workspace.forcefield,
            frames,
            workspace.pair.local_atoms(workspace.molecule),
            molecule=workspace.molecule,
            reference=potential(workspace, REFERENCE).whole,
            progress=workspace.progress,
        )
        found.gated(frames).save(path)

    return _corrected(workspace, _gaff(workspace), workspace.model_file("local-forces", make))


def _local(workspace: Workspace) -> Potential:
    """The local model, and the free energy of the two dihedrals that it misses.

    Forces on a few atoms are scattered by the other atoms, so that their integral between two basins is uncertain.
    """
    path = workspace.model_file("local-populations", partial(_match, workspace, "local-forces"))
    return _corrected(workspace, potential(workspace, "local-forces"), path)


def _distilled(workspace: Workspace) -> Potential:
    """GAFF and the free energy of the two dihedrals that GAFF misses."""
    path = workspace.model_file("distilled", partial(_match, workspace, PLAIN))
    return _corrected(workspace, _gaff(workspace), path)


def _match(workspace: Workspace, name: str, path: Path) -> None:
    """Write the free energy of the two dihedrals that a potential's training run misses."""
    found = correction.match_populations(
        training_frames(workspace, name),
        training_frames(workspace, REFERENCE),
        [workspace.pair.dihedral_atoms(workspace.molecule)],
        temperature=workspace.settings.temperature,
        molecule=workspace.molecule,
    )
    found.save(path)


def _corrected(workspace: Workspace, base: Potential, path: Path) -> Potential:
    placed = correction.load(path).in_molecule()
    return Potential(base.system, (*base.models, placed), Sum((base.whole, placed)))


POTENTIALS: dict[str, Callable[[Workspace], Potential]] = {
    REFERENCE: _reference,
    PLAIN: _gaff,
    "gaff-am1bcc": _am1bcc,
    "cross": _cross,
    "global": _global,
    "local-forces": _local_forces,
    "local": _local,
    "distilled": _distilled,
}
"""Name → function that makes the potential."""
