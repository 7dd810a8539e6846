"""The examples' own tests run where `tests.additions.apply` has added them to a copy of the package."""

collect_ignore_glob = ["*/test_*.py"]
