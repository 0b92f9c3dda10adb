"""Anxin Charging: proves, transaction by transaction, what a charger billed against what its meter measured."""

__version__ = "0.1.0"
