"""Semantic IDs of all items from a frozen tokenizer, on the executors."""
