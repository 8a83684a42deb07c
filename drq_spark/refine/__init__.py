"""Books and tables solved on the whole catalogue, not on the sample alone: passes that cost what an assignment does."""
