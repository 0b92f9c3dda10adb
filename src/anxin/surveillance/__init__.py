"""What only many sessions show: orders that lean, gaps that add up, silence, lateness, quality. Never a verdict."""
