"""OpenMM forces from energy models."""

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
"""Every backend, in the order in which "auto" tries them."""

__all__ = ["BACKENDS"]
