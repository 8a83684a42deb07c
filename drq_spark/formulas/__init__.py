"""Pure formulas: counts, codebooks and displacements to figures. numpy and scipy alone; nobody's step."""
