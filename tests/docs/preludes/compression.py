"""Labelled frames of ethanol in the file of the page, and a model of some of them."""

import openmm_hybrid as oh
from tests.docs.preludes.common import ethanol, limited

_frames = ethanol().frames(80)
_frames.save("aspirin.npz")
model = oh.sgdml.train(_frames, sigma=20, n_train=40, progress=False)
oh.sgdml.compress = limited(oh.sgdml.compress, {"n_points": lambda numbers: [number // 10 for number in numbers]})
