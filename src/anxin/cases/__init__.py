"""Alarms as the trade handles them: how findings become one, who may do what with it, and by when. Pure."""
