"""Molecules of the fuzz tests: small and diverse, with 3 to 25 atoms."""

from __future__ import annotations

_TEXT = """
# water and relatives: the smallest molecules
O S N P C [OH3+] [NH4+] [NH2-] C#N O=C=O O=S=O OO SS NN OCl CCl FC C=O C#C C=C CO CS CN CF [O-]C=O
# alkanes, strained rings and cages
CC CCC CC(C)C C1CC1 C1CCC1 C1CCCC1 C1CCCCC1 C1C[C@H]2C[C@@H]1C2 CC1CC1 C1CC12CC2 C1C[C@H]2C[C@@H]12
# alkenes, dienes, allenes, cumulenes
CC=C CC(C)=C C=CC=C C/C=C/C C/C=C\\C C=C=C CC=C=C C=C=O C=C=C=C C1=CC1 C1=CCC1 C1=CCCC1 C1=CC=CC1 FC=C=CF CC=C=O
# alkynes, nitriles, isonitriles, azides, isocyanates
CC#C CC#CC C#CC#C CC#N CCC#N N#CC#N C=CC#N C#CC#N OCC#N NC#N CN=C=O CN=C=S CN=[N+]=[N-] C[N+]#[C-] CSC#N COC#N
CN=C=NC
# alcohols, ethers, peroxides
CCO CC(C)O OCCO COC CCOC C1CO1 C1COC1 C1CCOC1 O1COC1 COOC COO C=CO CC(O)=C OCC#C
# aldehydes, ketones, acids, esters
CC=O CC(C)=O O=CC=O CC(=O)O COC=O CC(=O)OC CC(=O)[O-] O=C1CC1 O=C1CCC1 O=C1CCO1 C=CC=O OC(=O)C(=O)O
# amines, amides and other nitrogen
CNC CN(C)C C1CN1 C1CNC1 CC(N)=O CNC=O CN(C)C=O NC(N)=O C=N C/C=N/C CNN C/N=N/C NO CON C/C=N/O CC(=N)N NC(N)=[NH2+]
C[NH3+] C[NH2+]C C[N+](C)(C)C [NH3+]CC(=O)[O-] NCC=O C[N+](=O)[O-] O=[N+]([O-])O CN=O CON=O NNC=O O=C1CCN1 FNF
# halogens
FCF FC(F)F FC(F)(F)F ClC(Cl)Cl BrCBr FC(Cl)Br FCCF ClCCCl FC=C ClC#C BrC#C IC=C FC(F)(F)C=O O=C(F)Cl FC1CC1
CC(F)(F)F OCCl
# sulfur
CCS CSC CSSC CSSSC C1CS1 C1CSC1 CS(C)=O CS(C)(=O)=O CS(=O)(=O)O CS(=O)(=O)[O-] CC(N)=S CC=S CS(N)(=O)=O CSCl
NS(N)(=O)=O OS(O)(=O)=O CC(=O)S CS[O-] O=C1CSC1
# phosphorus
CP CPC CP(C)C CP(C)(C)=O CP(=O)(O)O OP(O)(O)=O COP(=O)([O-])[O-] C[P+](C)(C)C CP(=O)([O-])O ClP(Cl)Cl OP(=O)O
# aromatic rings
c1ccccc1 c1ccncc1 c1cnccn1 c1ncncn1 c1cc[nH]c1 c1ccoc1 c1ccsc1 c1cnc[nH]1 c1c[nH]nc1 c1cnoc1 c1cscn1 c1nnn[nH]1
Cc1ccccc1 Oc1ccccc1 Nc1ccccc1 Fc1ccccc1 Clc1ccncc1 [O-]c1ccccc1 c1cc[nH+]cc1 C[n+]1ccccc1 [O-][n+]1ccccc1
C[n+]1cc[nH]c1 N#Cc1ccccc1 O=Cc1ccco1 O=c1cc[nH]cc1 O=c1cc[nH]c(=O)[nH]1 Brc1ccsc1 C#Cc1ccccc1 c1ccc2[nH]ccc2c1
C1=CC=CC=CC1
"""

SMILES = tuple(word for line in _TEXT.splitlines() if not line.startswith("#") for word in line.split())
"""SMILES of the molecules."""
