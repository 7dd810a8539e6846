"""Labelled frames of ethanol; trainings use 20 of them."""

import openmm_hybrid as oh
from tests.docs.preludes.common import ethanol, limited

ethanol().frames(60).save("ethanol.npz")
for _name in ("train", "training_set"):
    setattr(oh.sgdml, _name, limited(getattr(oh.sgdml, _name), {"n_train": 20, "n_valid": 10}))
