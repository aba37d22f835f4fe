"""Raises while it is imported, with a cause."""

try:
    {}["missing"]
except KeyError as error:
    raise RuntimeError("settings are incomplete") from error
