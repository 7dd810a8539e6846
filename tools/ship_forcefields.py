"""Put force fields of a finished `openmm-hybrid study table2` into forcefields/.

python tools/ship_forcefields.py RUN [--n-train 7000] [--forms gaff --forms nn --forms cross] [--output forcefields]

RUN is the folder of the study. For each molecule and form, the model of seed 0 is copied with its errors on unseen
frames.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from openmm_hybrid import ForceField

FORMS = ("gaff", "nn", "cross")
UNITS = {"force": "kcal/mol/Å", "energy": "kcal/mol"}


def main() -> None:
    """Write the force fields and print their names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--n-train", type=int, default=7000)
    parser.add_argument("--forms", action="append", help="repeat for more; by default gaff, nn and cross")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "forcefields")
    options = parser.parse_args()
    table = json.loads((options.run / "table2.json").read_text(encoding="utf-8"))
    for cell in table["cells"]:
        molecule, form = cell["molecule"], cell["form"]
        if form not in (options.forms or FORMS) or cell["n_train"] != options.n_train or cell["seed"] != 0:
            continue
        source = table["job"]["data"][molecule]
        measures = ("force_mae", "force_rmse", "energy_mae", "energy_rmse")
        fitted = ForceField.load(options.run / "models" / f"{molecule}-{form}-{options.n_train}-0.npz")
        folder = fitted.write_set(
            f"{molecule}-{form}",
            options.output,
            data=f"{options.n_train} of {source['frames']} frames of MD17's {molecule} (500 K), md5 of their positions "
            f"{source['md5']}",
            level=source["theory"],
            errors={name: {"value": cell["test"][name], "unit": UNITS[name.split("_")[0]]} for name in measures},
            command=f"openmm-hybrid study table2 md17_{molecule}.npz -o runs/table2 --forms {form} --n-train "
            f"{options.n_train} --seeds 1; python tools/ship_forcefields.py runs/table2 --n-train {options.n_train} "
            f"--forms {form}",
        )
        print(folder)


if __name__ == "__main__":
    main()
