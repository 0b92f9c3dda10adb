"""The audit report: one HTML file with drawings, Chinese first, English by a switch."""
