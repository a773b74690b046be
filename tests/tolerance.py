"""How far apart two results of the same arithmetic may be."""

# A sum of floats depends on its order, and the order in a matrix product depends on the number of
# rows, the row, the threads and the processor. One float32 product then differs by a few units in
# the last place (1.2e-7 of the largest term), and a network of some layers by ten times that.
# Numbers that one program computes twice, on one machine and in batches of one size, are equal.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}
