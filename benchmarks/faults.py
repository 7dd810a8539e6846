"""What ordinary mistakes do: right numbers, a warning, a refusal, or wrong numbers without a word.

python -m benchmarks.faults

Every case of tests/faults is tried. silent, raw and hang count the cases that end in wrong numbers without a word, in
an error that does not help, and not at all; tried counts all cases.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter

from openmm_hybrid.core.result_document import document, to_json
from tests.faults import formats, labels, systems, training

CASES = {**formats.CASES, **labels.CASES, **systems.CASES, **training.CASES}
OUTCOMES = ("right", "warned", "refused", "silent", "raw", "hang")


def main() -> None:
    """Try the cases and print the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="beginnings of names of cases, separated by commas")
    beginnings = tuple(parser.parse_args().only.split(","))
    found = {}
    for name, case in CASES.items():
        if name.startswith(beginnings):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[name] = case()
            print(f"{found[name]:8} {name}", file=sys.stderr)
    counts = Counter(found.values())
    figures = {f"faults.{outcome}": (counts[outcome], "1") for outcome in OUTCOMES}
    figures["faults.tried"] = (len(found), "1")
    print(to_json(document("faults", figures, cases=found)))


if __name__ == "__main__":
    main()
