"""Force-field files: what is written comes back to the last bit; what is damaged or foreign is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.forcefield import ForceField
from openmm_hybrid.forcefield.archive import save
from openmm_hybrid.forms.form import FunctionalForm
from tests.helpers.forcefield_molecules import EDITS, built, disturbed, ethanol, shaken


@pytest.mark.parametrize("edited", EDITS)
def test_round_trip_is_exact(edited: str, tmp_path: Path) -> None:
    model = disturbed(EDITS[edited]())
    notes = {"level": "PBE+TS", "errors": {"force": 1.9}}
    model.save(tmp_path / "ethanol.npz", notes=notes)
    twin, known = ForceField.read(tmp_path / "ethanol.npz")
    assert known == notes
    assert (twin.name, twin.types, twin.groups) == (model.name, model.types, model.groups)
    assert twin.parameters.names == model.parameters.names
    assert twin.parameters.units == model.parameters.units
    for part in ("values", "lower", "upper", "fitted"):
        ours, theirs = getattr(model.parameters, part), getattr(twin.parameters, part)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(model.terms, twin.terms, strict=True):
        assert ours.form.name == theirs.form.name
        assert ours.form.settings() == theirs.form.settings()
        np.testing.assert_array_equal(ours.atoms, theirs.atoms)
        np.testing.assert_array_equal(ours.assignment, theirs.assignment)
    positions = shaken(built("ethanol"))
    for ours, theirs in zip(
        model.predict(positions), ForceField.load(tmp_path / "ethanol.npz").predict(positions), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Path:
    """The file with its description and arrays changed."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    description = json.loads(arrays["description"].item())
    change(description, arrays)
    arrays["description"] = np.array(json.dumps(description))
    np.savez(path, **arrays)
    return path


def newer(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    description["version"] = 2


def unknown_form(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    description["terms"][0]["form"]["family"] = "harmonik"


def wrong_setting(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    description["terms"][0]["form"]["settings"]["colour"] = "red"


def far_atom(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    arrays["atoms_1"][0, 0] = 9


def far_parameter(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    arrays["assignment_1"][0, 0] = -1


def wrong_width(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    arrays["atoms_0"] = arrays["atoms_0"][:, :1]


def no_number(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    arrays["values"][3] = np.nan


def no_terms(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    del description["terms"]


def lacking(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    del arrays["upper"]


def pickled(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    arrays["lower"] = np.array([{}] * len(arrays["lower"]), dtype=object)


def other_column(description: dict[str, Any], arrays: dict[str, Any]) -> None:
    names = description["parameters"]["names"]
    names[0] = names[0].rpartition("/")[0] + "/k_a1_cos1d1"


BROKEN = {
    newer: "version 2 of the format.*update openmm-hybrid",
    unknown_form: "unknown functional form 'harmonik'.*did you mean harmonic",
    wrong_setting: "colour",
    far_atom: "'atoms_1' has an index out of range; expected 0 to 8",
    far_parameter: "'assignment_1' has an index out of range",
    wrong_width: r"'atoms_0' is int64 of shape \(8, 1\)",
    no_number: "finite values",
    no_terms: "KeyError: 'terms'",
    lacking: "upper",
    other_column: "parameter 'k_a1_cos1d1', which the form .* does not have.*make the force field again",
    pickled: "cannot be read as a force field.*allow_pickle",
}


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_broken_contents_are_refused(change: Callable[..., None], tmp_path: Path) -> None:
    path = rewritten(save(ethanol(), tmp_path / "broken.npz"), change)
    with pytest.raises(InputError, match=BROKEN[change]) as caught:
        ForceField.load(path)
    assert str(path) in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = save(ethanol(), tmp_path / "ethanol.npz")
    content = path.read_bytes()
    cases = {
        "short.npz": (content[: len(content) // 2], "damaged"),
        "text.npz": (b"not a zip", "is not an npz file"),
        "changed.npz": (content[:600] + bytes([content[600] ^ 255]) + content[601:], "cannot be read as a force field"),
    }
    for name, (data, message) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=message):
            ForceField.load(tmp_path / name)
    np.savez(tmp_path / "frames.npz", R=np.zeros((1, 9, 3)), type=np.array("d"))
    with pytest.raises(InputError, match="this is an sGDML file"):
        ForceField.load(tmp_path / "frames.npz")
    with pytest.raises(InputError, match="does not exist"):
        ForceField.load(tmp_path / "nothing.npz")


def test_refuses_to_write_what_it_could_not_read(tmp_path: Path) -> None:
    class Foreign(FunctionalForm):
        name = "foreign"
        coordinates = columns = ()

        def forward(self, q, p):  # type: ignore[no-untyped-def]
            return q, p

    model = ethanol()
    with pytest.raises(InputError, match=r"expected a name that ends in \.npz"):
        model.save(tmp_path / "ethanol.json")
    with pytest.raises(InputError, match="cannot be written as JSON"):
        model.save(tmp_path / "ethanol.npz", notes={"error": float("nan")})
    terms = model.terms[0]
    foreign = type(terms)("foreign", Foreign(), terms.atoms, terms.assignment)
    strange = type(model)(replace(model.tables, terms=(foreign,)))
    with pytest.raises(InputError, match=r"'foreign' is not registered.*openmm_hybrid\.forms"):
        strange.save(tmp_path / "ethanol.npz")
    assert not list(tmp_path.iterdir())
