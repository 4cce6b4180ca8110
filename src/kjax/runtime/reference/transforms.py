"""``transform`` by NumPy's FFT in double precision. Its roots are those that the frontend gives it, or it is not an oracle."""

from math import prod

import numpy as np

from kjax.isa import dtypes
from kjax.runtime.reference.rules import rule


@rule
def _transform(ev, op, x, roots):
    at = op.attributes
    dim, n, inverse = at["dim"], prod(at["factors"]), "inverse" in at["flags"]
    wide = x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
    if at["kind"] == "forward":
        y = np.fft.rfft(wide, n, dim)
    elif at["kind"] == "backward":
        y = np.fft.irfft(wide, n, dim) * n
    else:
        y = np.fft.ifft(wide, n, dim) * n if inverse else np.fft.fft(wide, n, dim)
    if "turned" in at["flags"]:
        angle = np.outer(np.arange(n), np.arange(x.shape[2])) * (2 * np.pi / (n * x.shape[2]))
        y = y * np.exp(1j * angle * (1 if inverse else -1))
    return (y * at["scale"]).transpose(at["order"]).astype(dtypes.BY_NAME[op.result.dtype].numpy)
