"""What the snippets of docs/validation.md take for granted: a System with its positions."""

from tests.docs.preludes.common import ethanol

_gaff = ethanol().gaff
system, positions = _gaff.system, _gaff.positions
