"""Figure of the errors of several models on several sets of frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import COLOURS, DASHES, SIZE, new_figure


def set_error_figure(sets: Sequence[str], errors: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the force error of each model on each set of frames, on a logarithmic scale.

    Parameters
    ----------
    sets : sequence of str
        Names of the sets.
    errors : mapping of str to sequence of float, kcal/mol/Å
        Name of the model → its error on each set.

    Raises
    ------
    InputError
        There are no sets or models, or a model has another number of errors.
    """
    if not sets or not errors or any(len(values) != len(sets) for values in errors.values()):
        raise InputError(f"{len(sets)} sets and {len(errors)} models", expected="one error of each model on each set")
    figure = new_figure(max(3.2, 1.0 * len(sets) + 2.2), 3.4)
    axes = figure.subplots()
    for number, (name, values) in enumerate(errors.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        axes.plot(range(len(sets)), values, color=colour, linestyle=dash, marker="o", markersize=4, label=name)
    axes.set_yscale("log")
    axes.set_ylabel("force RMSE / kcal/mol/Å", fontsize=SIZE)
    axes.set_xticks(range(len(sets)), sets, fontsize=SIZE - 1)
    axes.tick_params(axis="y", which="both", labelsize=SIZE - 1)
    axes.legend(fontsize=SIZE - 1, frameon=False)
    return figure
