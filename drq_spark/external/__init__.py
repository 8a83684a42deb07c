"""SIDs that another system made: read, measured and reported beside our own."""
