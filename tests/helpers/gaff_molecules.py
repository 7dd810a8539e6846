"""Molecules for the GAFF tests, and quick charges for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_hybrid import Molecule

DRUGS = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "ibuprofen anion": "CC(C)Cc1ccc(cc1)C(C)C(=O)[O-]",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "nicotine cation": "C[NH+]1CCCC1c1cccnc1",
    "diazepam": "CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc12",
    "sulfamethoxazole": "Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1",
    "celecoxib": "Cc1ccc(cc1)-c1cc(nn1-c1ccc(cc1)S(N)(=O)=O)C(F)(F)F",
    "metronidazole": "Cc1ncc(n1CCO)[N+](=O)[O-]",
    "azobenzene": "c1ccccc1/N=N/c1ccccc1",
    "dapsone": "Nc1ccc(cc1)S(=O)(=O)c1ccc(N)cc1",
    "dimethyl sulfoxide": "CS(C)=O",
    "halothane": "FC(F)(F)C(Cl)Br",
    "iodophenol": "Oc1ccc(I)cc1",
    "fluorouracil": "O=c1[nH]cc(F)c(=O)[nH]1",
    "phenyl phosphate": "OP(=O)([O-])Oc1ccccc1",
    "ethyl phosphate dianion": "[O-]P(=O)([O-])OCC",
    "glycine zwitterion": "[NH3+]CC(=O)[O-]",
    "methylguanidinium": "CNC(N)=[NH2+]",
    "methylimidazolium": "C[n+]1cc[nH]c1",
    "tetramethylammonium": "C[N+](C)(C)C",
    "penicillin G": "CC1(C)S[C@@H]2[C@H](NC(=O)Cc3ccccc3)C(=O)N2[C@H]1C(=O)[O-]",
    "methyl azide": "CN=[N+]=[N-]",
    "pyridine N-oxide": "[O-][n+]1ccccc1",
    "warfarin": "CC(=O)CC(c1ccccc1)c1c(O)c2ccccc2oc1=O",
    "imatinib": "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(n1)-c1cccnc1",
    "sildenafil": "CCCc1nn(C)c2c1nc([nH]c2=O)-c1cc(ccc1OCC)S(=O)(=O)N1CCN(C)CC1",
    "nifedipine": "COC(=O)C1=C(C)NC(C)=C(C1c1ccccc1[N+](=O)[O-])C(=O)OC",
    "isosorbide dinitrate": "C1[C@H]([C@@H]2[C@H](O1)[C@@H](CO2)O[N+](=O)[O-])O[N+](=O)[O-]",
    "methanesulfonate": "CS(=O)(=O)[O-]",
    "cystamine dication": "[NH3+]CCSSCC[NH3+]",
    "propionitrile": "CCC#N",
}
"""Name → SMILES."""

LEAP = {
    "aspirin": ("CC(=O)Oc1ccccc1C(=O)O", "1.81"),
    "sulfamethoxazole": ("Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1", "1.81"),
    "metronidazole": ("Cc1ncc(n1CCO)[N+](=O)[O-]", "1.81"),
    "phenylphosphate": ("OP(=O)([O-])Oc1ccccc1", "1.81"),
    "chloroazobenzene": ("c1ccccc1/N=N/c1ccc(Cl)cc1", "1.81"),
    "ethylmethylacetamide": ("CC(=O)N(C)CC", "2.11"),
    "isobutyrate": ("CC(C)C(=O)[O-]", "2.11"),
    "caffeine": ("Cn1cnc2c1c(=O)n(C)c(=O)n2C", "2.2.20"),
    "acetylproline": ("CC(=O)N1CCCC1C(=O)[O-]", "2.2.20"),
}
"""Name → SMILES and GAFF version of the files leap/<name>.prmtop.

LEaP (of acpype 2023.10.27) made them from GAFF's own tables, parmchk2's additions, antechamber's types and the charges
of `gasteiger`: see leap/README.md.
"""


def gasteiger(molecule: Molecule) -> NDArray[np.float64]:
    """Gasteiger charges (n_atoms,) in e, rounded to 1e-6 and with the net charge as their sum."""
    from rdkit.Chem import rdPartialCharges

    mol = molecule.to_rdkit()
    rdPartialCharges.ComputeGasteigerCharges(mol, nIter=12)
    raw = np.array([atom.GetDoubleProp("_GasteigerCharge") for atom in mol.GetAtoms()])
    charges = np.round(np.nan_to_num(raw), 6)
    charges = np.round(charges + (molecule.charge - charges.sum()) / molecule.n_atoms, 6)
    charges[0] += molecule.charge - charges.sum()
    return charges
