"""sGDML: symmetric gradient-domain kernel models of one molecule's potential energy.

``train(frames, sigma=20)`` solves for a model, ``model.save("m.npz")`` and ``load("m.npz")`` keep it.
"""

from openmm_hybrid.sgdml.archive import load
from openmm_hybrid.sgdml.matching import data_permutations
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.symmetry import graph_permutations
from openmm_hybrid.sgdml.train import train

__all__ = ["SGDMLModel", "data_permutations", "graph_permutations", "load", "train"]
