"""The sections of the page, a file each: `parts(data)` gives what one shows, nothing where the run has no figures."""
