"""Units, errors, files, registries, progress and plain tables, which every room uses."""
