"""``python -m openmm_hybrid.cli``."""

from openmm_hybrid.cli import main

main()
