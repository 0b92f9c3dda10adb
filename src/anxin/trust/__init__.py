"""Keys and signatures: who said this, and may he."""
