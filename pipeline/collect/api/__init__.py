"""Records of an HTTP API: let in, leafed through, and kept."""
