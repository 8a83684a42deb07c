"""The compiled search: the codes, margins, residual squares and reaches of the numpy search, to the bit, for less.

What decides is the same as in `drq_spark.tokenizer.kernel` and `.beam`: float64 costs from differences, added up in
numpy's order. Float32 scores only tell which extensions can be left out. What differs is how they are made:

1. One float32 GEMM a level serves all paths of a beam. With zeta = z - a (a the mean codeword of level 1), the cost of
   extending a path by code k is, up to a number of the row alone, G[k] + sum_j T_j[s_j, k] + base: G = zeta . g, tables
   T_j of inner products between the codewords of two levels, and what the path has cost so far (`score_tables`).
2. One compiled pass over the scores adds these up, and keeps the lowest of each of 16 lanes with minimum and maximum
   alone: no branch depends on the data. A score carries the number of its vector in its lowest bits (`score_vectors`).
3. A certificate comes first: where the lowest score that was left out is further away than twice the error bound
   (`score_bounds`), the row is done. Else the candidates within the bound are decided by float64 costs (`level_pass`).
4. Margins and residual squares take one pass over the row in float64 (`margin_pass`).

What multiplies is a `products.Multiplier`: numpy, or a GPU.

`machine_code` is the only module that imports numba, and everything that imports it is imported when it is used:
`drq_spark.tokenizer.kernel_choice` decides that.
"""
