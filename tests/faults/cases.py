"""All cases of this folder."""

from __future__ import annotations

from tests.faults import formats, labels, molecules, simulations, systems

CASES = {**formats.CASES, **labels.CASES, **molecules.CASES, **simulations.CASES, **systems.CASES}
"""Name → function that tries it."""
