"""Bytes to domain values and back, one dialect a file. Pure; raises nothing but its declared errors."""
