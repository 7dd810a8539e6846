"""Studies: whole pieces of work, from settings to a result."""
