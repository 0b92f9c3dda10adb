"""The use cases that join the packages, one screen each."""
