"""OpenMM forces from energy models: one module for each backend, and the registry of all of them."""

from __future__ import annotations

from openmm_hybrid.core.registry import Registry

BACKENDS = Registry(
    kind="backend",
    builtin={
        "native": "openmm_hybrid.systems.backends.native:NativeBackend",
        "spline": "openmm_hybrid.systems.backends.spline:SplineBackend",
        "torchforce": "openmm_hybrid.systems.backends.torchforce:TorchForceBackend",
        "pythonforce": "openmm_hybrid.systems.backends.pythonforce:PythonForceBackend",
    },
    group="openmm_hybrid.backends",
)
"""Every backend, in the order in which "auto" tries them: the built-in ones, then those of the entry-point group."""

__all__ = ["BACKENDS"]
