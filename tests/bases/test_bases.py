"""GAFF and OpenFF as base force fields: the conformance suite."""

from __future__ import annotations

from openmm_hybrid.testing import BaseSuite


class TestGaff(BaseSuite):
    family = "gaff"


class TestOpenFF(BaseSuite):
    family = "openff"
