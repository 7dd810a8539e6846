"""All cases of this folder."""

from __future__ import annotations

from tests.faults import formats, labels, molecules, simulations, straight, systems

CASES = {**formats.CASES, **labels.CASES, **molecules.CASES, **simulations.CASES, **straight.CASES, **systems.CASES}
"""Name → function that tries it."""
