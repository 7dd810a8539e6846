"""OpenMM forces from energy models."""

from __future__ import annotations

from openmm_hybrid.registry import Registry

BACKENDS = Registry(
    kind="backend",
    builtin={
        "native": "openmm_hybrid.backends.native:NativeBackend",
        "spline": "openmm_hybrid.backends.spline:SplineBackend",
        "torchforce": "openmm_hybrid.backends.torchforce:TorchForceBackend",
        "pythonforce": "openmm_hybrid.backends.pythonforce:PythonForceBackend",
    },
    group="openmm_hybrid.backends",
)
"""Every backend, in the order in which "auto" tries them."""

__all__ = ["BACKENDS"]
