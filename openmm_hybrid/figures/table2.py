"""Figure of the errors of fitted force fields, compared with published errors."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.figures.style import COLOURS, SIZE, new_figure

Curve = Mapping[int, float]
"""Number of training frames → error."""


def table2_figure(
    errors: Mapping[str, Mapping[str, Curve]], published: Mapping[str, Mapping[str, Curve]], *, label: str
) -> Figure:
    """Draw errors against the number of training frames: lines for computed, open circles for published errors.

    Each molecule has one panel.

    Parameters
    ----------
    errors : mapping of molecule to form to Curve
        Computed errors: for each molecule and functional form, the number of training frames → error.
    published : mapping of molecule to form to Curve
        Published errors, drawn in the colour of the form; forms without computed errors are left out.
    label : str
        Label of the error axis, with the unit.

    Raises
    ------
    InputError
        No molecules or no errors.
    """
    if not errors or not all(errors.values()):
        raise InputError("there are no errors to draw", expected="at least one form of one molecule")
    figure = new_figure(3.6 * len(errors), 3.8)
    panels = figure.subplots(1, len(errors), sharey=True, squeeze=False)[0]
    forms = list(dict.fromkeys(form for curves in errors.values() for form in curves))
    for axes, (molecule, curves) in zip(panels, errors.items(), strict=True):
        for form, curve in curves.items():
            colour = COLOURS[forms.index(form) % len(COLOURS)]
            axes.plot(list(curve), list(curve.values()), "-o", markersize=4, color=colour, label=form)
            known = published.get(molecule, {}).get(form, {})
            axes.plot(list(known), list(known.values()), "o", markersize=7, color=colour, fillstyle="none")
        ticks = sorted({n for curve in curves.values() for n in curve})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_title(molecule, fontsize=SIZE + 1)
        axes.set_xlabel("training frames", fontsize=SIZE)
        axes.tick_params(labelsize=SIZE - 1)
        axes.grid(visible=True, color="0.9", linewidth=0.6)
    panels[0].set_ylim(bottom=0.0)
    panels[0].set_ylabel(label, fontsize=SIZE)
    panels[-1].legend(fontsize=SIZE - 1, frameon=False, title="open: published", title_fontsize=SIZE - 1)
    return figure
