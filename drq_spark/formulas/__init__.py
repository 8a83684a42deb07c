"""Pure formulas that make figures of counts, codebooks and displacements, with numpy and scipy alone."""
