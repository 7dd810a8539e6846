"""Simulations with OpenMM: models attached to a System, and sampling."""
