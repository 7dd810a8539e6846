"""Drawings of a molecule: with the numbers of its atoms, and coloured by a value of each atom."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from openmm_hybrid.data.molecule import Molecule

_WIDTH, _HEIGHT = 760, 460
_SMALLEST = 15  # font size, pixels
_HIGH = (0.835, 0.369, 0.0)  # colour of the largest value, that of "#D55E00"


def numbered(molecule: Molecule) -> bytes:
    """A PNG of the structure with the number of each atom."""
    canvas, flat = _canvas(molecule)
    options = canvas.drawOptions()
    options.addAtomIndices = True
    options.annotationFontScale = 0.8
    rdMolDraw2D.PrepareAndDrawMolecule(canvas, flat, kekulize=True)
    return _png(canvas)


def coloured(molecule: Molecule, values: ArrayLike) -> bytes:
    """A PNG of the structure with atoms coloured by values (n_atoms,) ≥ 0, from white at 0 to orange at the largest."""
    canvas, flat = _canvas(molecule)
    numbers = np.asarray(values, dtype=np.float64)
    shares = numbers / max(float(numbers.max()), 1e-12)
    colours = {atom: tuple(1.0 - share * (1.0 - part) for part in _HIGH) for atom, share in enumerate(shares.tolist())}
    options = canvas.drawOptions()
    options.useBWAtomPalette()
    options.highlightRadius = 0.4
    rdMolDraw2D.PrepareAndDrawMolecule(
        canvas, flat, highlightAtoms=list(colours), highlightAtomColors=colours, highlightBonds=[], kekulize=True
    )
    return _png(canvas)


def _canvas(molecule: Molecule) -> tuple[Any, Any]:
    """An empty canvas, and the molecule in two dimensions."""
    flat = molecule.to_rdkit()
    flat.RemoveAllConformers()
    rdDepictor.Compute2DCoords(flat)
    canvas: Any = rdMolDraw2D.MolDraw2DCairo(_WIDTH, _HEIGHT)
    canvas.drawOptions().minFontSize = _SMALLEST
    return canvas, flat


def _png(canvas: Any) -> bytes:
    canvas.FinishDrawing()
    return bytes(canvas.GetDrawingText())
