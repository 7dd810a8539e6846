"""Molecules and frames: read, kept and written before there is any model."""
