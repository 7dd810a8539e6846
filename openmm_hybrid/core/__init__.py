"""What every room uses: units, errors, files, registries, progress and plain tables."""
