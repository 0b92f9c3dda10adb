"""Where one can charge: coordinate systems, prices of the moment, and the index of nearest connectors. In memory."""
