"""Training, on the driver: one file for each tokenizer, and a registry by name."""
