"""Which codes flip when embeddings move."""
