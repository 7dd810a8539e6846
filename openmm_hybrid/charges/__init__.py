"""Methods for the partial charges of a molecule, and their registry."""

from __future__ import annotations

from openmm_hybrid.core.registry import Registry

METHODS = Registry(
    "charge method",
    {
        "resp": "openmm_hybrid.charges.resp:resp_charges",
        "am1-bcc": "openmm_hybrid.charges.am1bcc:am1bcc_charges",
        "nagl": "openmm_hybrid.charges.nagl:nagl_charges",
    },
    "openmm_hybrid.charges",
)
"""Name → function(molecule, *, progress) → charges (n_atoms,), e."""

__all__ = ["METHODS"]
