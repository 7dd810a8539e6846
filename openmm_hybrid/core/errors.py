"""The errors that this package raises on purpose: what was wrong, what was expected, what to do.

Every one prints as a single line, so that the command line can show it as it is and exit with status 2.
"""

from __future__ import annotations


class HybridError(Exception):
    """Base of every error that a user can mend.

    Parameters
    ----------
    problem : str
        What was found, naming the thing (file, frame, atom, option).
    expected : str, optional
        What was expected instead.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, problem: str, *, expected: str = "", hint: str = "") -> None:
        self.problem = problem
        self.expected = expected
        self.hint = hint
        parts = [problem]
        if expected:
            parts.append(f"expected {expected}")
        if hint:
            parts.append(hint)
        line = "; ".join(" ".join(part.split()).rstrip(".;") for part in parts)
        super().__init__(line if line.endswith("?") else line + ".")


class InputError(HybridError, ValueError):
    """What the user gave (an argument, a file, a molecule) cannot be used."""


class MismatchError(InputError):
    """Two things do not belong together: a model and a molecule, a force and a system, frames and atoms."""


class MissingDependencyError(HybridError, ImportError):
    """A package or program that this step needs is not installed, or not in a version that works."""


class NumericalError(HybridError, ArithmeticError):
    """A calculation did not reach what it must: a solve, a minimisation, a simulation that turned NaN."""
