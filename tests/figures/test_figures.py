"""The pictures show the numbers they are given, and are saved whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from openmm_hybrid.analysis import Density, ErrorTable, dihedral_density, error_table
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.figures import (
    density_figure,
    force_error_figure,
    frequency_figure,
    save_figure,
    torsion_profile_figure,
)

LABELS = ("C–C–O–H", "O–C–C–H")


def ensembles() -> dict[str, Density]:
    rng = np.random.default_rng(0)
    spread = {"GAFF": 2.0, "hybrid": 6.0, "GFN2-xTB": 7.0}
    return {name: dihedral_density(rng.vonmises([1.0, -2.0], kappa, (2000, 2))) for name, kappa in spread.items()}


def test_density_figure_shows_each_ensemble_on_one_scale() -> None:
    densities = ensembles()
    figure = density_figure(densities, LABELS, notes={"hybrid": "JSD 0.01"})
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(images) == 3
    assert len({image.norm.vmax for image in images}) == 1
    per_degree = (np.pi / 180) ** 2
    np.testing.assert_allclose(images[0].get_array(), densities["GAFF"].values.T * per_degree)
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert titles == ["GAFF", "hybrid\nJSD 0.01", "GFN2-xTB"]
    lines = [axes.lines for axes in figure.axes if len(axes.lines) == 3]
    assert len(lines) == 2
    expected = densities["hybrid"].marginal(1).values * np.pi / 180
    np.testing.assert_allclose(lines[1][1].get_ydata()[1:-1], expected)
    highest = max(float(np.max(line.get_ydata())) for panel in lines for line in panel)
    for axes in figure.axes:
        if len(axes.lines) == 3:
            assert axes.get_ylim()[0] == 0.0
            assert axes.get_ylim()[1] > highest
    texts = {axes.get_xlabel() for axes in figure.axes} | {axes.get_ylabel() for axes in figure.axes}
    assert {"C–C–O–H / °", "O–C–C–H / °", "density / degree⁻¹", "density / degree⁻²"} <= texts


def test_force_error_figure_names_the_errors() -> None:
    rng = np.random.default_rng(1)
    forces = rng.normal(0, 20, (50, 9, 3))
    predicted = {"GAFF": forces + rng.normal(0, 6, forces.shape), "hybrid": forces + rng.normal(0, 1, forces.shape)}
    tables = {name: error_table((np.zeros(50), forces), (np.zeros(50), other)) for name, other in predicted.items()}
    figure = force_error_figure(forces, predicted, tables)
    text = figure.axes[0].texts[0].get_text()
    assert f"RMSE {tables['GAFF'].force_rmse:.2f}" in text
    counted = figure.axes[1].collections[0].get_array()
    assert counted is not None
    assert counted.sum() == forces.size


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_saved_pictures_are_whole_and_the_same_each_time(tmp_path: Path, ending: str) -> None:
    first = save_figure(density_figure(ensembles(), LABELS), tmp_path / "deep" / f"a.{ending}")
    second = save_figure(density_figure(ensembles(), LABELS), tmp_path / "deep" / f"b.{ending}")
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in first.parent.iterdir()) == [f"a.{ending}", f"b.{ending}"]
    if ending == "png":
        pixels = imread(first)
        assert pixels.shape[1] > 1200
        assert pixels[..., :3].std() > 0.05


def test_bad_input_is_refused(tmp_path: Path) -> None:
    densities = ensembles()
    with pytest.raises(InputError, match="1 to 8"):
        density_figure({}, LABELS)
    with pytest.raises(InputError, match="two dihedrals"):
        density_figure({"a": densities["GAFF"].marginal(0)}, LABELS)
    with pytest.raises(InputError, match="notes on UFF"):
        density_figure(densities, LABELS, notes={"UFF": "none"})
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        save_figure(density_figure(densities, LABELS), tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()
    table = ErrorTable(1, 0, 0, 0, 0, 0, 0, 0)
    with pytest.raises(InputError, match="one table"):
        force_error_figure(np.zeros((1, 1, 3)), {"a": np.zeros((1, 1, 3))}, {})
    with pytest.raises(MismatchError, match="another shape"):
        force_error_figure(np.zeros((1, 1, 3)), {"a": np.zeros((1, 2, 3))}, {"a": table})


def test_pyplot_is_left_alone() -> None:
    code = "import sys, openmm_hybrid.figures; print('matplotlib.pyplot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_torsion_profile_shows_all_energies_and_closes_the_circle() -> None:
    angles = np.linspace(-180.0, 180.0, 24, endpoint=False)
    reference = 1.0 + np.cos(np.radians(angles))
    predicted = {"refined": 1.1 * reference, "gaff-2.2.20": 2.0 * reference}
    figure = torsion_profile_figure(angles, reference, predicted, label="C0–C1–O2–H8")
    axes = figure.axes[0]
    shown = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}
    assert set(shown) == {"refined", "gaff-2.2.20", "reference"}
    for name, energies in {"reference": reference, **predicted}.items():
        np.testing.assert_allclose(shown[name], np.append(energies, energies[0]))
    assert np.asarray(axes.lines[0].get_xdata())[-1] == pytest.approx(180.0)
    assert axes.get_xlabel() == "C0–C1–O2–H8 / °"
    with pytest.raises(InputError, match="do not match"):
        torsion_profile_figure(angles, reference[:3], predicted, label="")
    with pytest.raises(InputError, match="do not match"):
        torsion_profile_figure([], [], {}, label="")


def test_frequencies_are_drawn_as_deviations() -> None:
    reference = [300.0, 1500.0, 3000.0]
    figure = frequency_figure(reference, {"refined": [310.0, 1490.0, 3000.0], "gaff": [200.0, 1600.0, 3100.0]})
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    np.testing.assert_allclose(lines["refined"].get_ydata(), [10.0, -10.0, 0.0])
    np.testing.assert_allclose(lines["gaff"].get_ydata(), [-100.0, 100.0, 100.0])
    np.testing.assert_allclose(lines["gaff"].get_xdata(), reference)
    for numbers in ([], reference[:2]):
        with pytest.raises(InputError, match="do not match"):
            frequency_figure(numbers, {"refined": reference if numbers else []})
