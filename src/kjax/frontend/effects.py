"""How ``jax.debug.print``, ``jax.debug.callback``, ``jax.pure_callback`` and ``io_callback`` are lowered for kjax.

Each becomes a custom call ``@kjax.trace`` with a JSON record of what the host is to do. A print is described whole,
so it travels in a saved program; of a Python function there is only a number under which this process finds it, for as long as the
lowering or a program made from it lives.
"""

import contextlib
import functools
import itertools
import json
import weakref

from kjax.ir import trees

TARGET = "kjax.trace"
_numbers = itertools.count(1)
_live = weakref.WeakValueDictionary()  # number -> Callback


class Callback:
    """A Python function that programs of this process call, with the types of its results."""

    def __init__(self, function, results):
        import jax

        self.function, self.results, self.x64 = function, results, bool(jax.config.jax_enable_x64)
        self.number = next(_numbers)
        _live[self.number] = self

    def __call__(self, arrays):
        """The flat list of results for a flat sequence of NumPy arrays, which the function gets as JAX arrays."""
        import jax
        import numpy as np
        from jax._src import config

        cpu = _cpu()
        same = bool(config.enable_x64.value) == self.x64
        with jax.default_device(cpu), contextlib.nullcontext() if same else config.enable_x64(self.x64):  # as it was traced
            found = [np.asarray(x) for x in self.function(*jax.device_put(list(arrays), cpu))]
        if len(found) != len(self.results):
            raise TypeError(f"the callback returned {len(found)} arrays, {len(self.results)} were declared")
        for k, (x, want) in enumerate(zip(found, self.results)):
            if x.shape != want.shape or x.dtype != want.dtype:
                raise TypeError(f"result {k} of the callback is {x.dtype.name}[{','.join(map(str, x.shape))}], declared was "
                                f"{want.dtype.name}[{','.join(map(str, want.shape))}]")
        return found


@functools.cache
def _cpu():
    import jax

    return jax.local_devices(backend="cpu")[0]


def callbacks_of(sites):
    """{position: Callback} of those of a program's sites that are Python functions of this process."""
    return {k: _live[site["callback"]] for k, site in enumerate(sites) if site.get("callback") in _live}


def register(platform):
    """Teach JAX the lowerings for ``platform``, once."""
    from jax._src import callback, debugging
    from jax._src.interpreters import mlir

    rules = mlir._platform_specific_lowerings[platform]
    if debugging.debug_print_p in rules:
        return
    for primitive, rule in ((debugging.debug_print_p, _print), (debugging.debug_callback_p, _debug_callback),
                            (callback.pure_callback_p, _pure_callback), (callback.io_callback_p, _io_callback)):
        rules[primitive] = mlir.LoweringRuleEntry(rule, True)


def _emit(ctx, operands, site, effect, keep=None):
    """The custom call; with an ordered ``effect`` its token goes in and comes out first. Returns the results."""
    from jax._src.interpreters import mlir
    from jax._src.lib.mlir import ir
    from jax._src.lib.mlir.dialects import hlo

    types = [mlir.aval_to_ir_type(ctx.module_context, aval) for aval in ctx.avals_out]
    operands = list(operands)
    if effect is not None:
        types.insert(0, hlo.TokenType.get())
        operands.insert(0, ctx.tokens_in.get(effect))
    text = json.dumps({**site, "ordered": effect is not None}, sort_keys=True)
    op = hlo.CustomCallOp(types, operands, call_target_name=ir.StringAttr.get(TARGET),
                          has_side_effect=ir.BoolAttr.get(not site.get("pure")), backend_config=ir.StringAttr.get(text))
    results = list(op.results)
    if effect is not None:
        ctx.set_tokens_out(ctx.tokens_in.update_tokens(mlir.TokenSet({effect: results.pop(0)})))
    if keep is not None:
        ctx.module_context.add_keepalive(keep)
    return results


def _print(ctx, *args, fmt, ordered, in_tree, static_args, np_printoptions, has_placeholders, logging_record, **_):
    from jax._src import debugging

    spec = trees.jax_structure(in_tree)
    site = {"kind": "print", "name": "jax.debug.print", "format": fmt, "placeholders": bool(has_placeholders),
            "static": {str(k): _text(v) for k, v in dict(static_args).items()},
            "options": {k: v for k, v in dict(np_printoptions).items() if isinstance(v, (str, int, float, bool))}}
    if logging_record is not None:
        site["log"] = {"name": logging_record.name, "level": logging_record.levelno, "path": logging_record.pathname,
                       "line": logging_record.lineno}
    keep = None
    if spec:
        site["tree"] = spec["spec"]
    else:  # classes that only Python can rebuild
        keep = Callback(in_tree.unflatten, ())
        site["callback"] = keep.number
    return _emit(ctx, args, site, debugging.ordered_debug_effect if ordered else None, keep)


def _text(value):
    """What a print needs of an argument that is no array: itself if it is a string, number or None, else its texts."""
    return value if value is None or isinstance(value, (str, int, float, bool)) else {"str": str(value), "repr": repr(value)}


def _call(ctx, args, name, function, effect, *, pure=False, shown=None):
    keep = Callback(function, tuple(ctx.avals_out))
    site = {"kind": "call", "name": name, "function": getattr(shown, "__qualname__", repr(shown)),
            "callback": keep.number, "pure": pure}
    return _emit(ctx, args, site, effect, keep)


def _flat(function):
    """JAX's flat callbacks return a flat list, or nothing."""
    return lambda *arrays: list(function(*arrays) or ())


def _debug_callback(ctx, *args, callback, effect, partitioned):
    from jax._src import effects

    ordered = effects.ordered_effects.contains(effect)
    return _call(ctx, args, "jax.debug.callback", _flat(callback), effect if ordered else None, shown=_inner(callback))


def _inner(callback):
    """The user's function in the closure that ``jax.debug.callback`` makes around it."""
    cells = dict(zip(getattr(callback.__code__, "co_freevars", ()), callback.__closure__ or ())) \
        if hasattr(callback, "__code__") else {}
    return cells["callback"].cell_contents if "callback" in cells else callback


def _pure_callback(ctx, *args, callback, **_):
    return _call(ctx, args, "jax.pure_callback", _flat(callback), None, pure=True, shown=callback.callback_func)


def _io_callback(ctx, *args, callback, ordered, **_):
    from jax._src.callback import _OrderedIOEffect

    return _call(ctx, args, "io_callback", _flat(callback), _OrderedIOEffect if ordered else None,
                 shown=callback.callback_func)
