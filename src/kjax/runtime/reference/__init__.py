"""A NumPy interpreter of the tensor IR: the meaning of every core operation, and the tests' oracle.

Plain and slow: arrays go in, a list of arrays comes out. Sums are done in double precision and rounded
once. With lanes, each lane is a thread that meets the others at the exchanges.
"""

from kjax.runtime.reference.evaluator import evaluate

__all__ = ["evaluate"]
