"""Ethanol and labelled frames; fits use a few of them."""

from tests.docs.preludes.common import ethanol, limit_fits

limit_fits()
_case = ethanol()
molecule, frames = _case.molecule, _case.frames(40)
