"""Settings of the documentation."""

from __future__ import annotations

from openmm_hybrid import __version__

project = "openmm-hybrid"
copyright = "the openmm-hybrid developers"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3  # links such as gaff.md#limitations
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"openmm-hybrid {release}"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give types, with shapes and units
napoleon_google_docstring = False
napoleon_use_rtype = False
# Shapes such as (n_frames, n_atoms, 3) are where Sphinx looks for types, and several classes have an n_atoms.
suppress_warnings = ["ref.python"]
# Text in single backquotes is a name of this package if such a name exists, and otherwise plain code.
default_role = "code"
