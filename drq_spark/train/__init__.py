"""Sample matrix -> frozen tokenizer, on the driver. One file a tokenizer, a registry by name."""
