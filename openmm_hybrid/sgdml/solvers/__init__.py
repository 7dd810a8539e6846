"""Solvers of the linear system of training. To add one, write one file and one line of `SOLVERS`."""

from __future__ import annotations

from openmm_hybrid.core.registry import Registry

SOLVERS = Registry(
    kind="solver",
    builtin={
        "direct": "openmm_hybrid.sgdml.solvers.direct:DirectSolver",
        "iterative": "openmm_hybrid.sgdml.solvers.iterative:IterativeSolver",
    },
    group="openmm_hybrid.solvers",
)
"""Name → subclass of `openmm_hybrid.sgdml.solvers.solver.Solver`."""

__all__ = ["SOLVERS"]
