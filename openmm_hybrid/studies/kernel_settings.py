"""Settings of sGDML training, for the studies and the command line.

torch is loaded only when a setting is used, so that the command line's help is quick.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.studies.study import option, read_indices, read_sigma

if TYPE_CHECKING:
    from openmm_hybrid.sgdml import SolverSettings, TrainingSet


@dataclass(frozen=True)
class KernelSettings(ABC):
    """Settings of sGDML training; see the help of each field.

    Raises
    ------
    InputError
        sigma, lam or the number of test frames is out of range.
    """

    frames: Path = option(help="Labelled frames (npz, xyz, h5).")
    n_train: Any = option(None, help="Number of training frames.")
    sigma: float | str = option(
        20.0, help='Length of the kernel, or "search" to search for it.', parse=read_sigma, metavar="1/Å|search"
    )
    lam: float = option(1e-10, help="Regularisation λ of the forces, which are divided by their standard deviation.")
    n_valid: int | None = option(None, help="Validation frames; by default 200 for a search of sigma, otherwise none.")
    n_test: int = option(1000, help="Largest number of the remaining frames to test on.")
    perms: Literal["auto", "graph", "data", "none"] = option(
        "auto",
        help="Source of the permutation symmetries: the molecular graph, the frames, or none; auto is the graph, or the"
        " frames if the graph has too many symmetries.",
    )
    selection: Literal["auto", "stratified", "random"] = option(
        "auto",
        help="How frames are chosen: stratified by energy or at random; auto is stratified if there are energies.",
    )
    seed: int = option(0, help="Seed of the random choice of frames.")
    atoms: tuple[int, ...] = option(
        (), help="Train on these atoms only, such as 0-8,12.", parse=read_indices, metavar="ATOMS"
    )
    molecule: Path | None = option(None, help="SDF file with the bonds; by default bonds follow from distances.")
    energy_constraint: bool = option(False, help="Train on energies as well as forces.")
    solver: str = option(
        "auto", help="Solver of the linear system.", metavar="<auto|openmm_hybrid.sgdml.solvers:SOLVERS>"
    )
    max_memory: float | None = option(None, help="Memory limit of the solver, GB.")
    checkpoint: Path | None = option(None, help="File for the state of the iterative solver, which resumes from it.")
    device: Literal["auto", "cpu", "cuda"] = option("auto", help="Device of the solver.")
    e_unit: str = option("", help="Unit of energy, such as eV, for frames that do not name one.")

    def __post_init__(self) -> None:
        from openmm_hybrid.sgdml.train import check_sigma

        check_sigma(self.sigma, self.lam)
        if self.n_test < 0:
            raise InputError(f"n_test = {self.n_test}", expected="0 or more")

    @property
    @abstractmethod
    def largest(self) -> int | None:
        """Number of frames of the largest training; None for all."""

    @property
    def solver_settings(self) -> SolverSettings:
        """How the linear system is solved."""
        from openmm_hybrid.sgdml.fit import SolverSettings

        return SolverSettings(self.solver, self.max_memory, self.checkpoint, self.device)

    def training_set(self) -> TrainingSet:
        """The frames for training, validation and tests, chosen for the largest training."""
        from openmm_hybrid.data.frames import Frames
        from openmm_hybrid.data.molecule import Molecule
        from openmm_hybrid.sgdml.training_set import training_set

        return training_set(
            Frames.load(self.frames, e_unit=self.e_unit),
            n_train=self.largest,
            n_valid=self.n_valid if self.n_valid is not None or self.sigma == "search" else 0,
            perms=None if self.perms == "none" else self.perms,
            molecule=None if self.molecule is None else Molecule.from_file(self.molecule),
            atoms=list(self.atoms) or None,
            selection=self.selection,
            seed=self.seed,
            energy_constraint=self.energy_constraint,
        )


@final
@dataclass(frozen=True)
class TrainingSettings(KernelSettings):
    """Settings of one training; see the help of each field."""

    n_train: int | None = option(None, help="Training frames; by default all.")

    @property
    def largest(self) -> int | None:
        """See `KernelSettings.largest`."""
        return self.n_train
