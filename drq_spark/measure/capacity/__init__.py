"""How much of a codebook is left where codewords overlap: sigma, and the capacity of whole SIDs."""
