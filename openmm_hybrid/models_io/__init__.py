"""Energy models and corrections as files."""
