"""All cases of this folder."""

from __future__ import annotations

from tests.faults import formats, labels, molecules, systems

CASES = {**molecules.CASES, **formats.CASES, **labels.CASES, **systems.CASES}
"""Name → function that tries it."""
