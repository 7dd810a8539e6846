"""Molecules and frames: what is read, kept and written before any model is made."""
