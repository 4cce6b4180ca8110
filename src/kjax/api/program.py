"""``Program``: verified bytes of a ``.kjx`` with its signature, callable in every environment."""

import collections
import functools
import os
import weakref
from dataclasses import dataclass

import numpy as np

from kjax.api import direct, environments
from kjax.api.signature import Leaf, Signature
from kjax.bytecode.outline import outline
from kjax.errors import DeviceError, KjaxError
from kjax.runtime import locks
from kjax.runtime.trace import Host, describe


@dataclass(frozen=True)
class MemoryAnalysis:
    """Bytes, as the verifier proved them. The names are those of JAX's compiled objects, and the arena's two parts."""

    argument_size_in_bytes: int
    output_size_in_bytes: int
    alias_size_in_bytes: int
    temp_size_in_bytes: int
    generated_code_size_in_bytes: int
    constant_size_in_bytes: int
    peak_memory_in_bytes: int


class Program:
    """A compiled program.

    Call it with the arguments it was compiled for; NumPy arrays (or anything that NumPy can read) in, NumPy arrays
    out, in the trees of the original function. ``environment`` chooses where; a program is loaded there on its
    first call and stays until it is closed or collected. Thread-safe.
    """

    def __init__(self, image, signature=None, callbacks=None):
        """``callbacks``: {site: Python function} of a program that was compiled in this process."""
        from kjax import _engine

        self.image = bytes(image)
        self._facts = _engine.verify(self.image)
        self._outline = outline(self.image)
        self.meta = self._outline.meta
        self._shardings = _shardings_of(self._outline)
        self.signature = signature or _signature_of(self._outline, *self._shardings)
        self._host = Host(self.meta.get("sites") or (), callbacks)
        self._host.require()
        self._loaded = weakref.WeakKeyDictionary()
        self._lock = locks.lock()
        self._direct = _engine.Dispatch(functools.partial(_call, weakref.ref(self))) if direct.takes(self) else None
        self._known = {}  # weak types that go the direct way: the loaded program that they go to

    # -- running --------------------------------------------------------------------------------------------
    def load(self, environment=None, *, threads=None):
        """The program in ``environment`` (name or object): a ``runtime.base.Loaded``, made once for each number of ``threads``.

        ``threads``: that a run may use, the caller's included; None: what the environment does by itself, which for a program of
        one lane is 1. Results are the same bits for any number. Raises ValueError, DeviceError where it has no more.
        """
        place = environments.get(environment)
        _close_abandoned()
        with self._lock:
            made = self._loaded.setdefault(place, {})
            loaded = made.get(threads)
            if loaded is None or getattr(loaded, "closed", False):
                options = {} if threads is None else {"threads": threads}
                loaded = made[threads] = place.load(self.image, host=self._host, **options)
                weakref.finalize(self, _abandoned.append, loaded).atexit = False
            return loaded

    def run_flat(self, arrays, *, environment=None, deadline=None, fuel=None, in_place=False, threads=None):
        """Run on a flat list of checked arrays; returns the flat list of results."""
        loaded = self.load(environment, threads=threads)
        if self.lanes == 1:
            return loaded.run(arrays, deadline=deadline, fuel=fuel, in_place=in_place)
        ins, outs = self._shardings
        parts = [s.split(a) if s else [a] * self.lanes for a, s in zip(arrays, ins)]
        lanes = [[np.ascontiguousarray(part[k]) for part in parts] for k in range(self.lanes)]
        results = loaded.run(lanes, deadline=deadline, fuel=fuel)
        return [s.join([lane[k] for lane in results]) if s else results[0][k] for k, s in enumerate(outs)]

    def __call__(self, *args, environment=None, deadline=None, fuel=None, threads=None, **kwargs):
        """Run once. ``deadline``: seconds; ``fuel``: work units; ``threads``: see ``load``.

        Raises TypeError, DeadlineError, DeviceError.
        """
        known = self._direct  # another thread may find that it takes too many arrays
        if known is not None and environment is deadline is fuel is threads is None:
            return known(*args, **kwargs)
        return self._convert_and_run(args, kwargs, environment=environment, deadline=deadline, fuel=fuel, threads=threads)[0]

    def _convert_and_run(self, args, kwargs, **options):
        """(result, flat arguments) of a call whose arguments may be anything that NumPy can read."""
        leaves = self.signature.leaves(args, kwargs)
        arrays = self.signature.arrays(leaves)
        return self.signature.unflatten(self.run_flat(arrays, **options), leaves), leaves

    def _learn(self, leaves):
        """Further calls with arguments like these go to the engine directly."""
        trees, weak = direct.trees_of(self.signature), direct.weak_types(leaves)
        known = self._direct
        if known is None or not trees or weak is None or not direct.same_kind(self.signature, weak):
            return
        direct.prepare(known, trees, leaves)
        loaded = self.load()
        if self._known.get(weak) is loaded:
            return
        self._known[weak] = loaded
        try:
            known.add(loaded.call, **trees, weak=weak, narrow=not self.signature.x64)
        except ValueError:
            self._direct = None  # more arrays than the direct way takes

    # -- looking --------------------------------------------------------------------------------------------
    @property
    def name(self):
        return self.meta.get("name", "main")

    @property
    def lanes(self):
        return self._facts["lanes"]

    @property
    def donated(self):
        """Positions of the arguments whose memory results take."""
        return tuple(a.alias for a in self._outline.outputs if a.alias is not None)

    @property
    def stablehlo(self):
        """The portable StableHLO artifact that travels with the program (bytes; empty if it was left out)."""
        return self._outline.stablehlo

    def as_text(self):
        """The program as a listing: tensors, instructions, bodies."""
        from kjax.bytecode import disassembler

        return disassembler.as_text(self.image)

    def memory_analysis(self, *, threads=1):
        """Exact memory of one run, from the verifier; peak: plan, arenas of all lanes, arguments and results.

        With several ``threads`` each has working memory of its own besides the arena.
        """
        f = self._facts
        alias = sum(_bytes(a) for a in self._outline.outputs if a.alias is not None)
        arena = f["arena_bytes"] * f["lanes"] + (threads * f["part_bytes"] if threads > 1 and f["lanes"] == 1 else 0)
        return MemoryAnalysis(
            f["input_bytes"], f["output_bytes"], alias, arena, len(self.image), f["constant_bytes"],
            f["plan_bytes"] + arena + len(self.image) + (f["input_bytes"] + f["output_bytes"] - alias) * f["lanes"])

    def cost_analysis(self):
        """Operation counts of one run: ``flops``, ``cost`` (work units, what fuel counts), ``bytes accessed``.

        ``bounded``: False when a loop without a known trip count is in the program; then fuel bounds a run and the counts
        take such a loop once.
        """
        f = self._facts
        return {"flops": f["flops"], "cost": f["cost"], "bounded": not f["cost_is_open"],
                "bytes accessed": f["input_bytes"] + f["output_bytes"] + f["constant_bytes"]}

    def save(self, path):
        """Write the ``.kjx`` to ``path``, whole or not at all. Raises CompileError for a program that calls Python."""
        self.require_portable()
        part = f"{os.fspath(path)}.part"
        with open(part, "wb") as file:
            file.write(self.image)
        os.replace(part, path)

    def require_portable(self):
        """Raise CompileError when the program cannot leave this process, because it calls Python functions."""
        Host(self._host.sites).require()

    def __repr__(self):
        ins = ", ".join(map(str, self.signature.inputs))
        outs = ", ".join(map(str, self.signature.outputs))
        return f"<kjax.Program {self.name}({ins}) -> ({outs}), {len(self.image)} bytes>"


def _call(reference, *args, **kwargs):
    """A call that does not go the direct way (yet). ``reference``: to the program, which is not to keep itself alive."""
    program = reference()
    result, leaves = program._convert_and_run(args, kwargs)
    program._learn(leaves)
    return result


def _bytes(argument):
    from math import prod

    from kjax.isa import dtypes

    return prod(argument.shape) * dtypes.BY_NAME[argument.dtype].size


def _shardings_of(listing):
    """(of inputs, of outputs): a ``Sharding`` for each array that is spread over the lanes, None for a whole one."""
    said = listing.meta.get("sharding")
    if not said or listing.lanes == 1:
        return [None] * len(listing.inputs), [None] * len(listing.outputs)
    from kjax.ir.sharding import Sharding

    mesh = tuple((name, size) for name, size in said["mesh"])
    return [[Sharding(mesh, tuple(map(tuple, dims))) for dims in said[which]] for which in ("in", "out")]


def _signature_of(listing, in_shardings, out_shardings):
    """The signature that META describes; a flat one where it says nothing. META is not trusted: wrong counts are ignored."""
    said = listing.meta.get("signature") or {}
    names = said.get("inputs") or []
    known = len(names) == len(listing.inputs)
    if not known:
        names = [f"args[{k}]" for k in range(len(listing.inputs))]

    def leaves(arguments, names, shardings):
        shapes = [tuple(n * s.parts(d) for d, n in enumerate(a.shape)) if s else tuple(a.shape)
                  for a, s in zip(arguments, shardings)]
        return tuple(Leaf(name, shape, a.dtype) for a, name, shape in zip(arguments, names, shapes))

    return Signature(leaves(listing.inputs, names, in_shardings),
                     leaves(listing.outputs, [f"[{k}]" for k in range(len(listing.outputs))], out_shardings),
                     said.get("in") if known else None, said.get("out") if known else None, said.get("x64", True))


# What collected programs left in their environments. The collector may run in the middle of a call to that environment, so
# closing waits for the next load.
_abandoned = collections.deque()


def _close_abandoned():
    while _abandoned:
        try:
            _abandoned.popleft().close()
        except (IndexError, KjaxError, OSError, ValueError):
            pass  # another thread took it, or its environment is gone and has nothing to free


def load(path):
    """Read and verify a ``.kjx``. Raises OSError, VerifyError. Imports no jax."""
    with open(path, "rb") as file:
        return Program(file.read())


def on_accelerator(program, arrays, device):
    """Run the program's StableHLO through JAX's PJRT client on ``device`` ("gpu:0", "tpu:0", "pjrt:cpu:0").

    Raises DeviceError when there is no such device, or the program carries no StableHLO.
    """
    from kjax import frontend

    if not program.stablehlo:
        raise DeviceError(f"program {program.name!r} carries no StableHLO, so no accelerator can run it; "
                          "compile it again without strip=True")
    if sites := program._host.sites:
        raise DeviceError(f"program {program.name!r} has {', '.join(map(describe, sites))}: on an accelerator nobody prints or "
                          "calls Python for it; run it in an environment, or compile it without")
    return frontend.run_on(program.stablehlo, arrays, device)


