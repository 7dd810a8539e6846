"""Figure of the deviations of harmonic frequencies from those of a reference method."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import COLOURS, SIZE, new_figure

_MARKERS = ("o", "x", "+", "s")


def frequency_figure(reference: ArrayLike, predicted: Mapping[str, ArrayLike]) -> Figure:
    """Draw the deviation of each frequency against the frequency of the reference method.

    Parameters
    ----------
    reference : (n_modes,), cm⁻¹
        In the order of the others, usually ascending.
    predicted : mapping of str to (n_modes,), cm⁻¹
        Name of the model → frequencies.

    Raises
    ------
    InputError
        There are no frequencies, or a model has another number of them.
    """
    truth = np.asarray(reference, dtype=np.float64)
    found = {name: np.asarray(values, dtype=np.float64) for name, values in predicted.items()}
    if not truth.size or any(values.shape != truth.shape for values in found.values()):
        raise InputError(
            "the frequencies of a model do not match those of the reference", expected="one for each of the reference"
        )
    figure = new_figure(4.6, 2.9)
    axes = figure.subplots()
    axes.axhline(0.0, color="#7F7F7F", linewidth=0.8)
    for number, (name, values) in enumerate(found.items()):
        axes.plot(
            truth, values - truth, _MARKERS[number % len(_MARKERS)], label=name, markersize=4.5,
            color=COLOURS[number % len(COLOURS)],
        )  # fmt: skip
    axes.set_xlabel("reference / cm⁻¹", fontsize=SIZE)
    axes.set_ylabel("deviation / cm⁻¹", fontsize=SIZE)
    axes.tick_params(axis="both", labelsize=SIZE - 1)
    axes.grid(alpha=0.3)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(found), fontsize=SIZE - 1,
        frameon=False,
    )  # fmt: skip
    return figure
