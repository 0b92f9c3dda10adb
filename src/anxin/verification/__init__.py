"""Verification of chargers: procedures as data, conclusions, uncertainty, planning, work list.

Pure: no clock and no socket; of files only the package's own data, through `sourced`.
"""
