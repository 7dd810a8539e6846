"""GAFF with machine-learned corrections as OpenMM forces, for small organic molecules."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

#: Public name → "module" or "module:attribute"; loaded on first use, so that importing the package stays quick.
_PUBLIC = {
    "Molecule": "openmm_hybrid.molecule:Molecule",
    "Frames": "openmm_hybrid.frames:Frames",
    "EnergyModel": "openmm_hybrid.models.base:EnergyModel",
    "Sum": "openmm_hybrid.models.compose:Sum",
    "Difference": "openmm_hybrid.models.compose:Difference",
    "OnAtoms": "openmm_hybrid.models.compose:OnAtoms",
    "as_ase": "openmm_hybrid.models.ase:as_ase",
    "gaff": "openmm_hybrid.gaff",
    "sgdml": "openmm_hybrid.sgdml",
    "ForceField": "openmm_hybrid.forcefield.model:ForceField",
    "forcefield": "openmm_hybrid.forcefield",
    "fit": "openmm_hybrid.training.fit:fit",
    "training": "openmm_hybrid.training",
    "FitResult": "openmm_hybrid.training.result:FitResult",
    "correction": "openmm_hybrid.correction",
    "reference": "openmm_hybrid.reference",
    "analysis": "openmm_hybrid.analysis",
    "attach": "openmm_hybrid.simulation.attach:attach",
    "replace": "openmm_hybrid.simulation.replace:replace",
    "certify": "openmm_hybrid.backends.spline:certify",
    "Attachment": "openmm_hybrid.simulation.system_files:Attachment",
    "save_system": "openmm_hybrid.simulation.system_files:save_system",
    "load_system": "openmm_hybrid.simulation.system_files:load_system",
    "replicate": "openmm_hybrid.simulation.replicas:replicate",
    "sample": "openmm_hybrid.simulation.sample:sample",
    "SampleResult": "openmm_hybrid.simulation.result:SampleResult",
    "correction_free_energy": "openmm_hybrid.simulation.free_energy:correction_free_energy",
    "minimize": "openmm_hybrid.simulation.minimize:minimize",
    "place": "openmm_hybrid.backends.placement:place",
    "export_torchforce": "openmm_hybrid.backends.shell:export_torchforce",
    "export_torchscript": "openmm_hybrid.models.artifact:export_torchscript",
    "load_torchscript": "openmm_hybrid.models.artifact:load_torchscript",
    "HybridError": "openmm_hybrid.errors:HybridError",
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
