"""The public functions. Nothing here imports jax before it is needed: a saved program runs without it."""
