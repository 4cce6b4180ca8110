"""``kjax.jit``: compile on first call for each set of argument types, then run in this process or in the kernel."""

import functools
import inspect

import numpy as np

from kjax import _engine
from kjax.api import direct
from kjax.api.compile import compile as compile_program
from kjax.ir import trees


def jit(fun=None, /, *, static_argnums=None, static_argnames=None, donate_argnums=None, donate_argnames=None,
        keep_unused=False, inline=False, environment=None, deadline=None, threads=None):
    """``jax.jit`` on the kjax engine, with its keywords; also a decorator.

    The function is traced by JAX once for each tree, shapes and dtypes of arguments (and value of static ones). Donated arguments
    that are NumPy arrays are updated in place where a result takes their place: afterwards they hold that result; a ``jax.Array``
    stays as it is. ``environment``: "embedded" (default), "device" or "guest"; ``deadline``: seconds for each call; ``threads``: that
    a call may use, the caller's included (default 1, no thread is started unasked; results are the same bits for any number).
    ``keep_unused`` and ``inline`` are accepted for JAX's sake and change nothing. Results are NumPy arrays; random keys are JAX's.
    """
    if fun is None:
        return functools.partial(jit, static_argnums=static_argnums, static_argnames=static_argnames,
                                 donate_argnums=donate_argnums, donate_argnames=donate_argnames, environment=environment,
                                 deadline=deadline, threads=threads)
    return Jitted(fun, _numbers(fun, static_argnums, static_argnames), _numbers(fun, donate_argnums, donate_argnames),
                  environment, deadline, threads)


def _numbers(fun, numbers, names):
    """(positions, names) that jax.jit would infer from either, where the other one is not said."""
    infer = numbers is None or names is None
    numbers = () if numbers is None else (numbers,) if isinstance(numbers, int) else tuple(numbers)
    names = () if names is None else (names,) if isinstance(names, str) else tuple(names)
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        return numbers, names
    if not any(p.kind is p.VAR_POSITIONAL for p in parameters):  # else it is the call that says which is the last
        numbers = tuple(n % len(parameters) if n < 0 else n for n in numbers)
    if not infer:
        return numbers, names
    either = {k: p.name for k, p in enumerate(parameters) if p.kind is p.POSITIONAL_OR_KEYWORD}
    if names and not numbers:
        numbers = tuple(k for k, name in either.items() if name in names)
    elif numbers and not names:
        names = tuple(name for k, name in either.items() if k in numbers)
    return numbers, names


def _abstract(x):
    """Hashable type of a leaf: Python scalars keep their weak type, and a ``jax.Ref`` is not the array that it holds."""
    if isinstance(x, (bool, int, float, complex)):
        return type(x)
    shape = getattr(x, "shape", None)
    if shape is None:
        x = np.asarray(x)
        shape = x.shape
    return (tuple(shape), str(x.dtype), getattr(x, "weak_type", False), hasattr(x, "_refs"))


def _require_hashable(static):
    """Raise ValueError, as JAX does, for a static argument that cannot be part of a key. ``static``: see ``Jitted._split``."""
    for k, value in enumerate(static):
        try:
            hash(value)
        except TypeError as error:
            raise ValueError(f"Non-hashable static arguments are used in a jit function: number {k} of the static ones. {error}. A program "
                             "is kept for each value of them, so they must have __hash__ and __eq__; pass arrays as arguments.") from None


@functools.cache
def _x64():
    """A function without arguments that says whether 64-bit types are enabled in this thread now.

    It is the getter behind ``jax.config``, called for each call of a jitted function: without a frame of Python it
    takes a quarter of the time.
    """
    from jax._src import config

    state = config.enable_x64
    return functools.partial(type(state).value.fget, state)


_MISSED = object()


def _missed(*_, **__):
    """What a dispatch returns where no program fits."""
    return _MISSED


class Jitted(_engine.Dispatch):
    """A function that compiles itself. ``lower``-like access: ``program_for(*args)``.

    Calls in this process whose arguments are arrays of NumPy or JAX, or Python's numbers, of types and in trees that were seen
    before, go to their program without any Python code; ``_call`` takes all others.
    """

    def __init__(self, fun, static, donated, environment, deadline, threads):
        super().__init__(self._call)
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.static_numbers, self.static_names = static
        self.donated_numbers, self.donated_names = donated
        self.environment, self.deadline, self.threads = environment, deadline, threads
        self._programs = {}
        self._direct = {}  # values of the static arguments: the dispatch that takes the others
        self._learned = {}  # (program, weak types, x64): the loaded program that such calls go to

    def _split(self, args, kwargs):
        """(types and values of static arguments, other positional ones, other keywords): 1, 1.0 and True are equal, and not the same."""
        if not (self.static_numbers or self.static_names):
            return (), args, kwargs
        numbers = [n + len(args) if n < 0 else n for n in self.static_numbers]
        static = tuple((type(args[n]), args[n]) for n in numbers if n < len(args))
        static += tuple((k, type(kwargs[k]), kwargs[k]) for k in sorted(kwargs) if k in self.static_names)
        dynamic = tuple(a for n, a in enumerate(args) if n not in numbers)
        return static, dynamic, {k: v for k, v in kwargs.items() if k not in self.static_names}

    def _key(self, args, kwargs):
        import jax

        static, dynamic, named = self._split(args, kwargs)
        leaves, tree = trees.jax_flatten((tuple(dynamic), named))
        return (static, tree, tuple(map(_abstract, leaves)), jax.config.jax_enable_x64), leaves

    def _find(self, args, kwargs):
        key, leaves = self._key(args, kwargs)
        try:
            program = self._programs.get(key)
        except TypeError:
            _require_hashable(key[0])
            raise
        if program is None:
            program = self._programs[key] = compile_program(
                self.fun, *args, static_argnums=self.static_numbers, static_argnames=self.static_names,
                donate_argnums=self.donated_numbers, donate_argnames=self.donated_names, **kwargs)
        return program, leaves

    def program_for(self, *args, **kwargs):
        """The ``Program`` that a call with these arguments runs."""
        return self._find(args, kwargs)[0]

    def _dispatch_for(self, static):
        """What calls with these static arguments go through; itself where there are none."""
        if not static:
            return self
        try:
            found = self._direct.get(static)
        except TypeError:
            _require_hashable(static)
            raise
        return self._direct.setdefault(static, _engine.Dispatch(_missed)) if found is None else found

    def _call(self, *args, **kwargs):
        static, dynamic, named = self._split(args, kwargs)
        dispatch = self._dispatch_for(static)
        if dispatch is not self and dispatch.known:
            out = dispatch(*dynamic, **named)
            if out is not _MISSED:
                return out
        program, leaves = self._find(args, kwargs)
        signature = program.signature
        arrays = signature.arrays(leaves)
        donates = bool(self.donated_numbers or self.donated_names)
        if donates:  # what NumPy cannot write, a jax.Array or random keys, is copied: its memory is not the caller's to lose
            for k in program.donated:
                if not (arrays[k].flags.writeable or k < len(leaves) and isinstance(leaves[k], np.ndarray)):
                    arrays[k] = arrays[k].copy()
        out = program.run_flat(arrays, environment=self.environment, deadline=self.deadline, threads=self.threads, in_place=donates)
        self._learn(dispatch, program, leaves)
        return signature.unflatten(out, leaves)

    def _learn(self, dispatch, program, leaves):
        """Let ``dispatch`` take further calls like this one, where nothing but arrays decides about them."""
        local = self.environment in (None, "embedded") and self.deadline is None
        called = direct.trees_of(program.signature) if local and direct.takes(program) else None
        if called is None:
            return
        weak = direct.weak_types(leaves)
        if weak is None:
            return
        dispatch.guard = _x64()
        direct.prepare(dispatch, called, leaves)
        loaded = program.load(self.environment, threads=self.threads)
        condition = dispatch.guard()
        if self._learned.get((program, weak, condition)) is loaded:
            return
        self._learned[program, weak, condition] = loaded
        try:
            dispatch.add(loaded.call, **called, weak=weak, condition=condition, narrow=not program.signature.x64,
                         in_place=bool(self.donated_numbers or self.donated_names))
        except ValueError:
            return  # more arrays than the direct way takes
