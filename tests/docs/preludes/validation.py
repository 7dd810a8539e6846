"""What the snippets of docs/validation.md take for granted: a System with its positions."""

from tests.helpers.classical_ethanol import molecule

system, topology = molecule()
