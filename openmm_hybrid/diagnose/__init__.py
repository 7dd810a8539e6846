"""Diagnosis: which atoms and coordinates of a molecule a force field describes worst."""
