"""Molecular dynamics with OpenMM: runs that resume, replicas, parallel tempering, free energies."""
