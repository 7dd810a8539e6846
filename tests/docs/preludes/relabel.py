"""Test frames of two force fields of ethanol, and a model with errors on them."""

import numpy as np

from tests.docs.preludes.common import ethanol

_case = ethanol()
test = _case.frames(16)
other = _case.run(16, seed=2)
model = _case.forcefield
runs = np.arange(16) // 4
