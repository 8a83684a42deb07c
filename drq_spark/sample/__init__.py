"""The sample of the items, as a table and as a matrix on the driver: one seed gives the same rows under any layout."""
