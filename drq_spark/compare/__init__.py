"""Several tokenizers on the same catalogue, sample and seeds: one table, and who wins where."""
