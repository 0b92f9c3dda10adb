"""Benchmarks: each a command that measures against a peer and the physical limit in the same run (see README.md)."""
