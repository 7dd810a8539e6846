"""Figure of the energy along the rotation about one bond."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import COLOURS, DASHES, SIZE, degree_axis, new_figure

_REFERENCE = "#000000"


def torsion_profile_figure(
    angles: ArrayLike, reference: ArrayLike, predicted: Mapping[str, ArrayLike], *, label: str
) -> Figure:
    """Draw the energies of a reference method as points, and those of models as lines.

    Parameters
    ----------
    angles : (n_angles,), degrees
        Ascending, from −180 on.
    reference : (n_angles,), kcal/mol
    predicted : mapping of str to (n_angles,), kcal/mol
        Name of the model → energies.
    label : str
        Name of the dihedral, such as "C–C–O–H".

    Raises
    ------
    InputError
        There are no angles, or a profile has another number of energies.
    """
    degrees = np.asarray(angles, dtype=np.float64)
    profiles = {"reference": np.asarray(reference, dtype=np.float64)}
    profiles |= {name: np.asarray(energies, dtype=np.float64) for name, energies in predicted.items()}
    if not degrees.size or any(energies.shape != degrees.shape for energies in profiles.values()):
        raise InputError("the energies of a profile do not match its angles", expected="one energy for each angle")
    figure = new_figure(3.9, 2.9)
    axes = figure.subplots()
    around = np.append(degrees, degrees[0] + 360.0)
    colours = [colour for colour in COLOURS if colour != _REFERENCE]
    for number, (name, energies) in enumerate(predicted.items()):
        axes.plot(
            around, np.append(energies, np.ravel(energies)[0]), DASHES[number % len(DASHES)], label=name,
            color=colours[number % len(colours)], linewidth=1.8,
        )  # fmt: skip
    truth = profiles["reference"]
    axes.plot(around, np.append(truth, truth[0]), "o", label="reference", color=_REFERENCE, markersize=3.5)
    degree_axis(axes, "x", label)
    axes.set_ylabel("energy / kcal/mol", fontsize=SIZE)
    axes.grid(alpha=0.3)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(profiles), fontsize=SIZE - 1,
        frameon=False, handlelength=1.8, columnspacing=1.2,
    )  # fmt: skip
    return figure
