"""The public names of the package for type checkers and editors, one line for each name of `_PUBLIC`."""

# ruff: noqa: I001  (the lines have the order of the table)
from openmm_hybrid.data.molecule import Molecule as Molecule
from openmm_hybrid.data.frames import Frames as Frames
from openmm_hybrid.refinement.refined import load as load
from openmm_hybrid.models.energy_model import EnergyModel as EnergyModel
from openmm_hybrid.models.compose import Sum as Sum
from openmm_hybrid.models.compose import Difference as Difference
from openmm_hybrid.models.compose import OnAtoms as OnAtoms
from openmm_hybrid.models.ase import as_ase as as_ase
from openmm_hybrid.bases.build import build as build
from openmm_hybrid.bases.build import template_generator as template_generator
from openmm_hybrid import bases as bases
from openmm_hybrid.bases import gaff as gaff
from openmm_hybrid import sgdml as sgdml
from openmm_hybrid.forcefield.model import ForceField as ForceField
from openmm_hybrid import forcefield as forcefield
from openmm_hybrid.fitting.fit import fit as fit
from openmm_hybrid import fitting as fitting
from openmm_hybrid.fitting.fit_result import FitResult as FitResult
from openmm_hybrid import correction as correction
from openmm_hybrid import reference as reference
from openmm_hybrid import analysis as analysis
from openmm_hybrid import figures as figures
from openmm_hybrid.refinement.rounds import refine as refine
from openmm_hybrid.refinement.rounds import refine_series as refine_series
from openmm_hybrid.refinement.batch import refine_batch as refine_batch
from openmm_hybrid.refinement.settings import RefineSettings as RefineSettings
from openmm_hybrid.refinement.refined import Refined as Refined
from openmm_hybrid.refinement.batch_result import BatchResult as BatchResult
from openmm_hybrid import tasks as tasks
from openmm_hybrid.systems.attach import attach as attach
from openmm_hybrid.systems.replace import replace as replace
from openmm_hybrid.systems.app_forcefield import register as register
from openmm_hybrid.systems.backends.spline import table_errors as table_errors
from openmm_hybrid.systems.system_files import Attachment as Attachment
from openmm_hybrid.systems.system_files import save_system as save_system
from openmm_hybrid.systems.system_files import load_system as load_system
from openmm_hybrid.systems.replicas import replicate as replicate
from openmm_hybrid.sampling.sample import sample as sample
from openmm_hybrid.sampling.sample_result import SampleResult as SampleResult
from openmm_hybrid.validation.validate import validate as validate
from openmm_hybrid.validation.settings import ValidateSettings as ValidateSettings
from openmm_hybrid.validation.result import Validation as Validation
from openmm_hybrid.sampling.correction_free_energy import correction_free_energy as correction_free_energy
from openmm_hybrid.sampling.minimize import minimize as minimize
from openmm_hybrid.systems.torch_wrapper import export_torchforce as export_torchforce
from openmm_hybrid.models.torchscript import export_torchscript as export_torchscript
from openmm_hybrid.models.torchscript import load_torchscript as load_torchscript
from openmm_hybrid.core.errors import HybridError as HybridError

__version__: str
