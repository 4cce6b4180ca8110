"""Tensor IR: an SSA graph of StableHLO-like operations between the frontend and the compiler."""
