"""GAFF with machine-learned corrections as OpenMM forces, for small organic molecules."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0.dev0"

#: Public name → "module" or "module:attribute"; loaded on first use, so that importing the package stays quick.
#: `__init__.pyi` names the same things for type checkers and editors; a test holds the two equal.
_PUBLIC = {
    "Molecule": "openmm_hybrid.data.molecule:Molecule",
    "Frames": "openmm_hybrid.data.frames:Frames",
    "load": "openmm_hybrid.refinement.refined:load",
    "EnergyModel": "openmm_hybrid.models.energy_model:EnergyModel",
    "Sum": "openmm_hybrid.models.compose:Sum",
    "Difference": "openmm_hybrid.models.compose:Difference",
    "OnAtoms": "openmm_hybrid.models.compose:OnAtoms",
    "as_ase": "openmm_hybrid.models.ase:as_ase",
    "build": "openmm_hybrid.bases.build:build",
    "template_generator": "openmm_hybrid.bases.build:template_generator",
    "bases": "openmm_hybrid.bases",
    "gaff": "openmm_hybrid.bases.gaff",
    "sgdml": "openmm_hybrid.sgdml",
    "ForceField": "openmm_hybrid.forcefield.model:ForceField",
    "forcefield": "openmm_hybrid.forcefield",
    "fit": "openmm_hybrid.fitting.fit:fit",
    "fitting": "openmm_hybrid.fitting",
    "FitResult": "openmm_hybrid.fitting.fit_result:FitResult",
    "correction": "openmm_hybrid.correction",
    "reference": "openmm_hybrid.reference",
    "analysis": "openmm_hybrid.analysis",
    "figures": "openmm_hybrid.figures",
    "refine": "openmm_hybrid.refinement.rounds:refine",
    "refine_series": "openmm_hybrid.refinement.rounds:refine_series",
    "refine_batch": "openmm_hybrid.refinement.batch:refine_batch",
    "RefineSettings": "openmm_hybrid.refinement.settings:RefineSettings",
    "Refined": "openmm_hybrid.refinement.refined:Refined",
    "BatchResult": "openmm_hybrid.refinement.batch_result:BatchResult",
    "tasks": "openmm_hybrid.tasks",
    "attach": "openmm_hybrid.systems.attach:attach",
    "replace": "openmm_hybrid.systems.replace:replace",
    "register": "openmm_hybrid.systems.app_forcefield:register",
    "table_errors": "openmm_hybrid.systems.backends.spline:table_errors",
    "Attachment": "openmm_hybrid.systems.system_files:Attachment",
    "save_system": "openmm_hybrid.systems.system_files:save_system",
    "load_system": "openmm_hybrid.systems.system_files:load_system",
    "replicate": "openmm_hybrid.systems.replicas:replicate",
    "sample": "openmm_hybrid.sampling.sample:sample",
    "SampleResult": "openmm_hybrid.sampling.sample_result:SampleResult",
    "validate": "openmm_hybrid.validation.validate:validate",
    "ValidateSettings": "openmm_hybrid.validation.settings:ValidateSettings",
    "Validation": "openmm_hybrid.validation.result:Validation",
    "correction_free_energy": "openmm_hybrid.sampling.correction_free_energy:correction_free_energy",
    "minimize": "openmm_hybrid.sampling.minimize:minimize",
    "export_torchforce": "openmm_hybrid.systems.torch_wrapper:export_torchforce",
    "export_torchscript": "openmm_hybrid.models.torchscript:export_torchscript",
    "load_torchscript": "openmm_hybrid.models.torchscript:load_torchscript",
    "HybridError": "openmm_hybrid.core.errors:HybridError",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = getattr(import_module(module), attribute) if attribute else import_module(module)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
