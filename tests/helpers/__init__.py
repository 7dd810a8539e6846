"""Molecules, models and data that several tests share, and the root of the checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout. A process that a test starts here can import `tests` and `benchmarks`."""
