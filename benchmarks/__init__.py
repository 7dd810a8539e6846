"""Side-by-side measurements; each module prints one JSON object: ``python -m benchmarks.<name>``."""
