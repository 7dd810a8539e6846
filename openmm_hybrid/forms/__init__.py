"""Functional forms: energies of internal coordinates with parameters, one family per file.

A form knows neither atoms nor molecules. It maps the coordinates of terms, such as (r₁, r₂, θ), and their parameters to
energies and dE/dq. `openmm_hybrid.forcefield` assigns atoms and parameters to terms.
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
        "inner": "openmm_hybrid.forms.inner:Inner",
    },
    group="openmm_hybrid.forms",
)
"""Classes of all forms by name; `FunctionalForm.settings` are the keyword arguments that make an equal form."""

CLASSICAL = {"bonds": "harmonic", "angles": "harmonic", "propers": "fourier", "impropers": "fourier"}
"""GAFF's form in each slot."""


def forms_of(slot: str) -> tuple[str, ...]:
    """Names of the forms that can fill a slot; those that replace the classical form come first."""
    roles = {name: FORMS.load(name).slots.get(slot) for name in FORMS.names()}
    return tuple(name for wanted in ("replaces", "adds") for name, role in roles.items() if role == wanted)
