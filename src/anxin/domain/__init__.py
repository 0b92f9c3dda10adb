"""The trade's words as frozen, exact values. Standard library only; nothing here reads a clock or a file."""
