"""How far charge methods differ for one molecule."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from openmm_hybrid.charges.assign import assign_charges
from openmm_hybrid.core.result_document import document
from openmm_hybrid.core.text_table import TextTable
from openmm_hybrid.data.molecule import Molecule
from openmm_hybrid.studies.study import Study, StudyResult, claim, option, settings_as_dict


@final
@dataclass(frozen=True)
class ChargeSpreadSettings:
    """Settings of the study."""

    smiles: str = option("CCO", help="SMILES of the molecule.")
    methods: tuple[str, ...] = option(("am1-bcc",), help="Charge methods to compare with the first one.")


@final
@dataclass(frozen=True)
class ChargeSpread(StudyResult):
    """RMS differences (e) of each method's charges from those of the first method."""

    settings: ChargeSpreadSettings
    rms: dict[str, float]

    @property
    def name(self) -> str:
        return "charge-spread"

    def tables(self) -> list[TextTable]:
        return [TextTable(("method", "RMS / e"), [(name, f"{value:.4f}") for name, value in self.rms.items()])]

    def as_dict(self) -> dict[str, Any]:
        figures = {f"rms.{name}": (value, "e") for name, value in self.rms.items()}
        return document("charge-spread", figures, settings=settings_as_dict(self.settings))

    def records(self) -> list[dict[str, Any]]:
        return [{"method": name, "rms_e": value} for name, value in self.rms.items()]


@final
class ChargeSpreadStudy(Study):
    """Compares charge methods."""

    name = "charge-spread"
    summary = "Compare the partial charges of one molecule by several methods."
    Settings = ChargeSpreadSettings

    def run(self, settings: ChargeSpreadSettings, output: Path, *, progress: bool = True) -> ChargeSpread:
        claim(output, settings_as_dict(settings), self.name)
        molecule = Molecule.from_smiles(settings.smiles)
        charges = {name: assign_charges(molecule, name, progress=progress) for name in settings.methods}
        first = charges[settings.methods[0]]
        rms = {name: float(np.sqrt(np.mean((found - first) ** 2))) for name, found in charges.items()}
        return ChargeSpread(settings, rms)
