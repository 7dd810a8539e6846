"""A small model of ethanol, and geometries."""

import openmm_hybrid as oh
from tests.docs.preludes.common import ethanol

_frames = ethanol().frames(30)
model = oh.sgdml.train(_frames, sigma=20, n_train=20, progress=False)
positions = _frames.positions
