"""``Family``: an artifact with symbolic dimensions as programs, one for each set of concrete shapes."""

import collections
from concurrent.futures import Future

import numpy as np

from kjax.runtime import locks


class Family:
    """What ``kjax.compile`` makes of a ``jax.export.Exported`` with symbolic dims.

    Call it like the exported function: it compiles a ``Program`` for the shapes of the arguments when they are first seen, keeps
    the ``maxsize`` that were used last, and runs it. Thread-safe: each set of shapes is compiled once, whoever asks first.
    Shapes that break the artifact's constraints raise ValueError with the argument's path and the dimension, other dtypes,
    ranks and trees raise as the exported function does.
    """

    def __init__(self, exported, *, strip=False, maxsize=32):
        if maxsize < 1:
            raise ValueError(f"maxsize is {maxsize}; a family keeps at least one program")
        self.exported, self.strip, self.maxsize = exported, strip, maxsize
        self._members = collections.OrderedDict()  # shapes and dtypes -> Future of Program, the last used last
        self._lock = locks.lock()

    @property
    def name(self):
        return self.exported.fun_name

    @property
    def symbols(self):
        """Names of the symbolic dims, in alphabetic order."""
        return tuple(sorted({str(name) for aval in self.exported.in_avals for d in aval.shape
                             if hasattr(d, "_get_vars") for name in d._get_vars()}))

    def __call__(self, *args, environment=None, deadline=None, fuel=None, **kwargs):
        """Run the member for these arguments; see ``Program.__call__``."""
        return self.specialize(*args, **kwargs)(*args, environment=environment, deadline=deadline, fuel=fuel, **kwargs)

    def specialize(self, *args, **kwargs):
        """The ``Program`` for arguments like these (arrays or ``jax.ShapeDtypeStruct``), compiled now if it is not there."""
        import jax

        leaves, tree = jax.tree_util.tree_flatten((args, kwargs))
        if tree != self.exported.in_tree:
            raise TypeError(f"the artifact takes the pytree {self.exported.in_tree}, it was called with {tree}")
        return self._member(tuple(self._type(x, aval) for x, aval in zip(leaves, self.exported.in_avals)))

    def at(self, **sizes):
        """The ``Program`` for these sizes of the symbolic dims: ``family.at(batch=8, n=128)``."""
        symbols = self.symbols
        if set(sizes) != set(symbols):
            raise TypeError(f"the artifact's dims are {', '.join(symbols)}; got {', '.join(sorted(sizes)) or 'none'}")
        from jax._src import core

        shapes = (core.evaluate_shape(aval.shape, tuple(sizes), *sizes.values()) for aval in self.exported.in_avals)
        return self._member(tuple((tuple(map(int, shape)), _dtype(aval))
                                  for shape, aval in zip(shapes, self.exported.in_avals)))

    def of_types(self, types):
        """The ``Program`` for a flat list of ``jax.ShapeDtypeStruct``, in the order of the flattened arguments."""
        if len(types) != len(self.exported.in_avals):
            raise TypeError(f"the artifact takes {len(self.exported.in_avals)} arrays, got {len(types)} types")
        return self._member(tuple((tuple(t.shape), _dtype(t)) for t in types))

    @property
    def members(self):
        """The programs that are there now, the last used last."""
        with self._lock:
            futures = list(self._members.values())
        return tuple(f.result() for f in futures if f.done() and not f.exception())

    @staticmethod
    def _type(x, aval):
        if isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic):
            return (), _dtype(aval)  # a Python number takes the type that it meets, if the call allows that
        x = x if hasattr(x, "dtype") else np.asarray(x)
        return tuple(x.shape), _dtype(x)

    def _member(self, key):
        with self._lock:
            future = self._members.get(key)
            mine = future is None
            if mine:
                future = self._members[key] = Future()
            self._members.move_to_end(key)
            while len(self._members) > self.maxsize:
                self._members.popitem(last=False)
        if mine:
            try:
                future.set_result(self._compile(key))
            except BaseException as error:
                with self._lock:
                    if self._members.get(key) is future:
                        del self._members[key]
                future.set_exception(error)
        return future.result()

    def _compile(self, key):
        from kjax.api.compile import compile_lowered
        from kjax.frontend import polymorphic

        lowered, module = polymorphic.lower(self.exported, key)
        return compile_lowered(lowered, module, self.name, self.strip)

    def __repr__(self):
        ins = ", ".join(f"{a.dtype.name}[{','.join(map(str, a.shape))}]" for a in self.exported.in_avals)
        return f"<kjax.Family {self.name}({ins}), {len(self.members)} of at most {self.maxsize} programs>"


def _dtype(x):
    """Name of the type that JAX gives to the elements of ``x``; random keys have no name that says it all, but the dtype."""
    import jax

    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.extended):
        return x.dtype
    return str(jax.dtypes.canonicalize_dtype(x.dtype))
