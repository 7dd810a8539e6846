"""Molecule files as other programs write them."""

from __future__ import annotations

from rdkit import Chem

from openmm_hybrid import Molecule

OPEN_BABEL_ACETATE = """@<TRIPOS>MOLECULE
*****
 7 6 0 0 0
SMALL
GASTEIGER

@<TRIPOS>ATOM
      1 C          -0.6772   -0.0312   -0.0189 C.3     1  UNL1       -0.0252
      2 C           0.8043   -0.0137    0.0132 C.2     1  UNL1        0.0387
      3 O           1.3616    1.1084    0.0983 O.co2   1  UNL1       -0.5501
      4 O           1.5886   -1.1298   -0.0436 O.co2   1  UNL1       -0.5501
      5 H          -0.9441    0.8023   -0.7108 H       1  UNL1        0.0289
      6 H          -1.0505    0.2559    1.0070 H       1  UNL1        0.0289
      7 H          -1.0827   -0.9918   -0.3451 H       1  UNL1        0.0289
@<TRIPOS>UNITY_ATOM_ATTR
4 1
charge -1
@<TRIPOS>BOND
     1     1     2    1
     2     2     3   ar
     3     2     4   ar
     4     1     5    1
     5     1     6    1
     6     1     7    1
"""
"""Open Babel 3.1."""

GAFF_ACETATE = """@<TRIPOS>MOLECULE
MOL
    7     6     1     0     0
SMALL
gas


@<TRIPOS>ATOM
      1 C1          -0.6770    -0.0310    -0.0190 c3         1 MOL      -0.024965
      2 C2           0.8040    -0.0140     0.0130 c          1 MOL       0.038279
      3 O1           1.3620     1.1080     0.0980 o          1 MOL      -0.550477
      4 O2           1.5890    -1.1300    -0.0440 o          1 MOL      -0.550477
      5 H1          -0.9440     0.8020    -0.7110 hc         1 MOL       0.029214
      6 H2          -1.0500     0.2560     1.0070 hc         1 MOL       0.029214
      7 H3          -1.0830    -0.9920    -0.3450 hc         1 MOL       0.029214
@<TRIPOS>BOND
     1     1     2 1
     2     2     3 1
     3     2     4 1
     4     1     5 1
     5     1     6 1
     6     1     7 1
@<TRIPOS>SUBSTRUCTURE
     1 MOL         1 TEMP              0 ****  ****    0 ROOT
"""
"""antechamber -at gaff: all bonds of the carboxylate are single."""

GAFF_NITROANILINE = """@<TRIPOS>MOLECULE
MOL
   16    16     1     0     0
SMALL
gas


@<TRIPOS>ATOM
      1 N1           2.7990    -0.1030     0.3850 nh         1 MOL      -0.358296
      2 C1           1.4280    -0.0300     0.1240 ca         1 MOL       0.023393
      3 C2           0.7110     1.1240     0.4540 ca         1 MOL      -0.039234
      4 C3          -0.6800     1.1700     0.3140 ca         1 MOL      -0.031667
      5 C4          -1.3640     0.0310    -0.1230 ca         1 MOL       0.117711
      6 C5          -0.6670    -1.1500    -0.4030 ca         1 MOL      -0.031667
      7 C6           0.7240    -1.1770    -0.2570 ca         1 MOL      -0.039234
      8 N2          -2.8240     0.0680    -0.2710 no         1 MOL       0.091976
      9 O1          -3.4030     1.1310    -0.0070 o          1 MOL      -0.138060
     10 O2          -3.3920    -0.9650    -0.6540 o          1 MOL      -0.138060
     11 H1           3.2890    -0.8200    -0.1420 hn         1 MOL       0.142659
     12 H2           3.2800     0.7910     0.3550 hn         1 MOL       0.142659
     13 H3           1.2330     2.0030     0.8260 ha         1 MOL       0.064315
     14 H4          -1.2070     2.0890     0.5610 ha         1 MOL       0.064595
     15 H5          -1.1840    -2.0530    -0.7190 ha         1 MOL       0.064595
     16 H6           1.2560    -2.1070    -0.4430 ha         1 MOL       0.064315
@<TRIPOS>BOND
     1     1     2 1
     2     2     3 ar
     3     3     4 ar
     4     4     5 ar
     5     5     6 ar
     6     6     7 ar
     7     5     8 1
     8     8     9 1
     9     8    10 1
    10     7     2 ar
    11     1    11 1
    12     1    12 1
    13     3    13 1
    14     4    14 1
    15     6    15 1
    16     7    16 1
@<TRIPOS>SUBSTRUCTURE
     1 MOL         1 TEMP              0 ****  ****    0 ROOT
"""

SYBYL_NITROANILINE = """@<TRIPOS>MOLECULE
MOL
   16    16     1     0     0
SMALL
gas


@<TRIPOS>ATOM
      1 N1           2.7990    -0.1030     0.3850 N.3        1 MOL      -0.358296
      2 C1           1.4280    -0.0300     0.1240 C.ar       1 MOL       0.023393
      3 C2           0.7110     1.1240     0.4540 C.ar       1 MOL      -0.039234
      4 C3          -0.6800     1.1700     0.3140 C.ar       1 MOL      -0.031667
      5 C4          -1.3640     0.0310    -0.1230 C.ar       1 MOL       0.117711
      6 C5          -0.6670    -1.1500    -0.4030 C.ar       1 MOL      -0.031667
      7 C6           0.7240    -1.1770    -0.2570 C.ar       1 MOL      -0.039234
      8 N2          -2.8240     0.0680    -0.2710 N.pl3      1 MOL       0.091976
      9 O1          -3.4030     1.1310    -0.0070 O.2        1 MOL      -0.138060
     10 O2          -3.3920    -0.9650    -0.6540 O.2        1 MOL      -0.138060
     11 H1           3.2890    -0.8200    -0.1420 H          1 MOL       0.142659
     12 H2           3.2800     0.7910     0.3550 H          1 MOL       0.142659
     13 H3           1.2330     2.0030     0.8260 H          1 MOL       0.064315
     14 H4          -1.2070     2.0890     0.5610 H          1 MOL       0.064595
     15 H5          -1.1840    -2.0530    -0.7190 H          1 MOL       0.064595
     16 H6           1.2560    -2.1070    -0.4430 H          1 MOL       0.064315
@<TRIPOS>BOND
     1     1     2 1
     2     2     3 ar
     3     3     4 ar
     4     4     5 ar
     5     5     6 ar
     6     6     7 ar
     7     5     8 1
     8     8     9 1
     9     8    10 1
    10     7     2 ar
    11     1    11 1
    12     1    12 1
    13     3    13 1
    14     4    14 1
    15     6    15 1
    16     7    16 1
@<TRIPOS>SUBSTRUCTURE
     1 MOL         1 TEMP              0 ****  ****    0 ROOT
"""
"""antechamber -at sybyl: the bonds of the nitro group are single."""


def sdf(molecule: Molecule, conformers: slice = slice(None)) -> str:
    """An SDF with a record for each conformer."""
    mol = molecule.to_rdkit()
    blocks = [Chem.MolToMolBlock(mol, confId=each.GetId()) for each in list(mol.GetConformers())[conformers]]
    return "".join(f"{block}$$$$\n" for block in blocks)


def bare_mol2(molecule: Molecule) -> str:
    """A MOL2 file of the heavy atoms alone, with SYBYL types good enough for RDKit."""
    mol = Chem.RemoveAllHs(molecule.to_rdkit())
    Chem.Kekulize(mol, clearAromaticFlags=True)
    orders = {1.0: "1", 2.0: "2", 3.0: "3"}
    atoms = [
        f"{i + 1} {atom.GetSymbol()}{i + 1} {x:.4f} {y:.4f} {z:.4f} {atom.GetSymbol()}.3 1 MOL 0.0"
        for i, (atom, (x, y, z)) in enumerate(zip(mol.GetAtoms(), mol.GetConformer().GetPositions(), strict=True))
    ]
    bonds = [
        f"{i + 1} {b.GetBeginAtomIdx() + 1} {b.GetEndAtomIdx() + 1} {orders[b.GetBondTypeAsDouble()]}"
        for i, b in enumerate(mol.GetBonds())
    ]
    head = f"@<TRIPOS>MOLECULE\nmolecule\n{len(atoms)} {len(bonds)} 0 0 0\nSMALL\nNO_CHARGES\n\n"
    return "\n".join([f"{head}@<TRIPOS>ATOM", *atoms, "@<TRIPOS>BOND", *bonds, ""])
