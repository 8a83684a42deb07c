"""Items behind the same SID."""
