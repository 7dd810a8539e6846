"""Figure of predicted against reference force components."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from openmm_hybrid.analysis.error_table import ErrorTable
from openmm_hybrid.core.errors import InputError, MismatchError
from openmm_hybrid.figures.style import SEQUENTIAL, SIZE, new_figure


def force_error_figure(
    reference: ArrayLike, predicted: Mapping[str, ArrayLike], tables: Mapping[str, ErrorTable]
) -> Figure:
    """Draw predicted against reference force components of several models, as hexagonal histograms.

    All panels share one colour scale.

    Parameters
    ----------
    reference : (n_frames, n_atoms, 3), kcal/mol/Å
    predicted : mapping of str to (n_frames, n_atoms, 3), kcal/mol/Å
        Name of the model → predicted forces at the same geometries.
    tables : mapping of str to ErrorTable
        Name of the model → errors to print in its panel.

    Raises
    ------
    InputError
        No models, or a model without a table.
    MismatchError
        Predicted and reference forces differ in shape.
    """
    if not predicted or set(predicted) != set(tables):
        raise InputError("models and error tables do not match", expected="one table for each of at least one model")
    truth = np.ravel(reference)
    if any(np.shape(forces) != np.shape(reference) for forces in predicted.values()):
        raise MismatchError("predicted forces have another shape than the reference", expected=f"{np.shape(reference)}")
    bound = 1.05 * max(np.abs(truth).max(), *(np.abs(np.asarray(forces)).max() for forces in predicted.values()))
    figure = new_figure(3.2 * len(predicted) + 1.0, 3.8)
    all_axes = figure.subplots(1, len(predicted), sharex=True, sharey=True, squeeze=False)[0]
    norm = LogNorm(1, max(10.0, truth.size / 20))
    for axes, (name, forces) in zip(all_axes, predicted.items(), strict=True):
        axes.plot([-bound, bound], [-bound, bound], color="0.6", linewidth=1.0, zorder=0)
        hexagons = axes.hexbin(
            truth, np.ravel(forces), gridsize=60, extent=(-bound, bound, -bound, bound), cmap=SEQUENTIAL, norm=norm,
            mincnt=1, linewidths=0.1,
        )  # fmt: skip
        axes.set(xlim=(-bound, bound), ylim=(-bound, bound), aspect="equal")
        axes.set_xlabel("reference / kcal/mol/Å", fontsize=SIZE)
        axes.set_title(name, fontsize=SIZE + 1)
        axes.tick_params(labelsize=SIZE - 1)
        table = tables[name]
        text = f"RMSE {table.force_rmse:.2f}\nMAE {table.force_mae:.2f}"
        axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=SIZE)
    all_axes[0].set_ylabel("predicted / kcal/mol/Å", fontsize=SIZE)
    bar = figure.colorbar(hexagons, ax=all_axes, shrink=0.9, pad=0.02)
    bar.set_label("components", fontsize=SIZE)
    return figure
