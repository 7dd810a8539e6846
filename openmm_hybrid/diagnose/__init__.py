"""Where a force field misses its reference, and along which coordinates."""
