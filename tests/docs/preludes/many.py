"""A library of one small molecule and one that cannot be read, and labelled frames; the refinements are made cheap."""

import warnings
from pathlib import Path

from tests.docs.preludes.common import ethanol, limit_batches

limit_batches()
warnings.filterwarnings("ignore", "1 of 2 molecules")
frames = ethanol().frames(60)
Path("library.smi").write_text("O water\nC1CC broken\n")
Path("calculations.py").write_text(
    "import openmm_hybrid as oh\n\n"
    "def conformer_energy(smiles):\n"
    "    molecule = oh.Molecule.from_smiles(smiles)\n"
    '    engine = oh.reference.engine("gfn2")\n'
    '    return {"energy": engine.compute(molecule.atomic_numbers, molecule.positions)[0]}\n'
)
