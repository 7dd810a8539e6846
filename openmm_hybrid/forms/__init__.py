"""Functional forms: energies of internal coordinates with parameters, one family a file.

A form knows neither atoms nor molecules. It takes the coordinates of its terms, such as (r₁, r₂, θ), and their
parameters, and gives energies and dE/dq; `openmm_hybrid.forcefield` says which atoms and which parameters.
"""

from openmm_hybrid.core.registry import Registry

FORMS = Registry(
    kind="functional form",
    builtin={
        "harmonic": "openmm_hybrid.forms.harmonic:Harmonic",
        "morse": "openmm_hybrid.forms.morse:Morse",
        "fourier": "openmm_hybrid.forms.fourier:Fourier",
        "spline": "openmm_hybrid.forms.spline:Spline",
        "neural": "openmm_hybrid.forms.neural:Neural",
        "cross": "openmm_hybrid.forms.cross:Cross",
        "fourier2d": "openmm_hybrid.forms.fourier2d:Fourier2D",
        "coulomb": "openmm_hybrid.forms.nonbonded:Coulomb",
        "lennard-jones": "openmm_hybrid.forms.nonbonded:LennardJones",
    },
    group="openmm_hybrid.forms",
)
"""Family → class of every form; its `settings()` are the keyword arguments that make an equal one."""

CLASSICAL = {"bonds": "harmonic", "angles": "harmonic", "propers": "fourier", "impropers": "fourier"}
"""The form that GAFF has in each slot."""


def forms_of(slot: str) -> tuple[str, ...]:
    """Names of the forms that may stand in a slot: those that replace the classical one first."""
    roles = {name: FORMS.load(name).slots.get(slot) for name in FORMS.names()}
    return tuple(name for role in ("replaces", "adds") for name, own in roles.items() if own == role)
