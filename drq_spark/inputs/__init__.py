"""The user's tables, read as they are and brought to the names and types that every later step works with."""
