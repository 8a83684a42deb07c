"""`drq export`: the SIDs that readers follow, in the forms that other systems read; a module for each family."""
