"""sGDML: symmetric gradient-domain kernel models of one molecule's potential energy.

``train(frames, sigma=20)`` trains a model; ``model.save("m.npz")`` and ``load("m.npz")`` write and read it. Step by
step: ``training_set`` selects the frames, ``search`` or ``fit`` train a model, ``assess`` and ``consistency`` check it.
"""

from openmm_hybrid.sgdml.check import Consistency, assess, consistency
from openmm_hybrid.sgdml.compress import Compression, CompressionPoint, compress
from openmm_hybrid.sgdml.distance import TrainingDistance, training_distance
from openmm_hybrid.sgdml.fit import SolverSettings, fit
from openmm_hybrid.sgdml.matching import data_permutations
from openmm_hybrid.sgdml.model import SGDMLModel
from openmm_hybrid.sgdml.model_file import load
from openmm_hybrid.sgdml.search import Search, search
from openmm_hybrid.sgdml.symmetry import graph_permutations, restrict_permutations
from openmm_hybrid.sgdml.train import Training, train, train_on
from openmm_hybrid.sgdml.training_set import TrainingSet, training_set
from openmm_hybrid.sgdml.trial import Trial

__all__ = [
    "Compression",
    "CompressionPoint",
    "Consistency",
    "SGDMLModel",
    "Search",
    "SolverSettings",
    "Training",
    "TrainingDistance",
    "TrainingSet",
    "Trial",
    "assess",
    "compress",
    "consistency",
    "data_permutations",
    "fit",
    "graph_permutations",
    "load",
    "restrict_permutations",
    "search",
    "train",
    "train_on",
    "training_distance",
    "training_set",
]
