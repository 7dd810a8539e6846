"""Errors print as one line: what was wrong, what was expected, and what to do."""

from __future__ import annotations

import pytest

from openmm_hybrid.core import errors
from openmm_hybrid.core.errors import (
    HybridError,
    InputError,
    MismatchError,
    MissingDependencyError,
    NumericalError,
)


def test_message_has_three_parts():
    error = InputError("frame 3 is broken.", expected="9 atoms", hint="remove it.")
    assert str(error) == "frame 3 is broken; expected 9 atoms; remove it."
    assert (error.problem, error.expected, error.hint) == ("frame 3 is broken.", "9 atoms", "remove it.")
    assert str(InputError("bad")) == "bad."


def test_message_is_one_line():
    assert str(HybridError("two\n  lines", hint="one\tline")) == "two lines; one line."


def test_a_question_has_no_full_stop():
    assert str(HybridError("unknown", hint="did you mean this?")) == "unknown; did you mean this?"


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (InputError, ValueError),
        (MismatchError, InputError),
        (MissingDependencyError, ImportError),
        (NumericalError, ArithmeticError),
    ],
)
def test_each_is_a_hybrid_error_and_of_the_standard_kind(kind, standard):
    with pytest.raises(standard) as caught:
        raise kind("something")
    assert isinstance(caught.value, HybridError)


def test_there_are_few():
    kinds = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, HybridError)]
    assert len(kinds) == 5
