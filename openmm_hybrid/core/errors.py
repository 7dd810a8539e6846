"""The errors that this package raises: each states what was found, what was expected, and what to do.

Each prints as a single line. The command line shows that line and exits with status 2.
"""

from __future__ import annotations


class HybridError(Exception):
    """Base class of every error that a user can resolve.

    Parameters
    ----------
    problem : str
        What was found, with the name of the file, frame, atom or option.
    expected : str, optional
        What was expected instead.
    hint : str, optional
        What the user can do about it.
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
    """An argument, a file or a molecule that the user gave cannot be used."""


class MismatchError(InputError):
    """Two things do not belong together: a model and a molecule, a force and a system, frames and atoms."""


class MissingDependencyError(HybridError, ImportError):
    """A package or program that this step needs is not installed, or not in a version that works."""


class NumericalError(HybridError, ArithmeticError):
    """A calculation failed: a solve or a minimisation did not converge, or a simulation became NaN."""
