"""How whole arrays are spread over lanes: pure data and NumPy, so that running a program needs no jax."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sharding:
    """Cut of one array.

    ``mesh``: ((axis, size), ...), lanes counted row-major; ``dims``: the mesh axes that cut each dim, outer first.
    An array dim without axes is whole in every lane; mesh axes that no dim names hold copies.
    """

    mesh: tuple
    dims: tuple

    @property
    def lanes(self):
        return math.prod(size for _, size in self.mesh)

    def parts(self, dim):
        """Into how many parts dim ``dim`` is cut."""
        sizes = dict(self.mesh)
        return math.prod(sizes[a] for a in self.dims[dim])

    def places(self, lane):
        """Which part of each dim ``lane`` holds."""
        at = {}
        for name, size in reversed(self.mesh):
            lane, at[name] = divmod(lane, size)
        sizes, out = dict(self.mesh), []
        for axes in self.dims:
            place = 0
            for a in axes:
                place = place * sizes[a] + at[a]
            out.append(place)
        return tuple(out)

    def lane_at(self, places):
        """The first lane that holds the part at ``places``."""
        return next(k for k in range(self.lanes) if self.places(k) == tuple(places))

    def split(self, array):
        """List of the lanes' parts of a whole array (views)."""
        return [array[self._window(k, array.shape)] for k in range(self.lanes)]

    def _window(self, lane, shape):
        return tuple(slice(p * (n // self.parts(d)), (p + 1) * (n // self.parts(d)))
                     for d, (p, n) in enumerate(zip(self.places(lane), shape, strict=True)))

    def join(self, parts):
        """The whole array from a list of the lanes' parts; of copies, the first lane's counts."""
        shape = tuple(n * self.parts(d) for d, n in enumerate(parts[0].shape))
        whole = np.empty(shape, parts[0].dtype)
        for lane in reversed(range(self.lanes)):
            whole[self._window(lane, shape)] = parts[lane]
        return whole
