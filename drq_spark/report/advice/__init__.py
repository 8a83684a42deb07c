"""What the figures say is wrong with a run, and what to do about it."""
