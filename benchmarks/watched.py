"""An ASE calculator of GFN2-xTB that writes down what it has computed, and hangs once if it is asked to.

`benchmarks.endurance` uses it as the engine ``ase:benchmarks.watched:Watched``. Environment variables name its files,
so that the engine has the same name in all runs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, final

from tblite.ase import TBLite

from openmm_hybrid.core.files import fingerprint

LOG, HANG = "OPENMM_HYBRID_WATCHED_LOG", "OPENMM_HYBRID_WATCHED_HANG"
"""Variables with the file of what is computed, and the file with the formula of the molecule to hang at."""


@final
class Watched(TBLite):
    """GFN2-xTB that appends a line for each finished calculation to a file: the formula, and a hash of the geometry."""

    def __init__(self) -> None:
        super().__init__(method="GFN2-xTB", verbosity=0)

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        """As `TBLite.calculate`; sleep for ever, once, if the file of the molecule to hang at names this one."""
        formula, hang = atoms.get_chemical_formula(), Path(os.environ[HANG])
        if hang.is_file() and hang.read_text() == formula:
            hang.unlink()
            while True:
                time.sleep(60.0)
        super().calculate(atoms, properties, system_changes)
        with Path(os.environ[LOG]).open("a", encoding="utf-8") as file:
            file.write(f"{formula} {fingerprint(atoms.positions)}\n")
