"""Energy models as files."""
