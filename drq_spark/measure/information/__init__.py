"""What codes tell: entropies of prefixes, and what attributes add."""
