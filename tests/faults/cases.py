"""All cases of this folder."""

from __future__ import annotations

from tests.faults import formats, labels, molecules, simulations, spoiled, straight, systems, training

CASES = {
    **formats.CASES,
    **labels.CASES,
    **molecules.CASES,
    **simulations.CASES,
    **spoiled.CASES,
    **straight.CASES,
    **systems.CASES,
    **training.CASES,
}
"""Name → function that tries it."""
