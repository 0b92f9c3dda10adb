"""The platform under faults: what it acknowledged must still be there."""
