"""The command `anxin`."""
