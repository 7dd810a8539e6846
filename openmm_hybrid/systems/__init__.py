"""Models in OpenMM Systems: the one room that turns energy models into OpenMM forces."""
