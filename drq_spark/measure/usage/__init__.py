"""How the codes of every level are used."""
