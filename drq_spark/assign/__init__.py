"""Frozen tokenizer x items -> semantic IDs, on the executors."""
