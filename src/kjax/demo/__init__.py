"""The demo: train an anomaly detector in JAX, run and train it in ring 0, hold every figure against JAX.

``python -m kjax.demo`` runs it; ``make demo`` sets everything up first.
"""
