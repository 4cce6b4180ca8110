"""Libraries: named functions with prebuilt transformations, as a file (``.kjl``) and loaded in an environment."""

import os
import weakref
from pathlib import Path

from kjax.api import devices as device_rows
from kjax.api import transform
from kjax.api.compile import compile as compile_program
from kjax.api.program import Program
from kjax.bytecode import library as archive
from kjax.errors import KjaxError

_loaded = weakref.WeakSet()


def library(functions, transformations=("jit",), *, batch_size=8, **options):
    """Compile every function under every transformation.

    ``functions``: name -> (function, example_args). ``transformations``: strings such as "jit", "grad", "jit(vmap(grad))".
    The example arguments are those of the plain function; each transformation derives its own from them: ``vmap`` and
    ``pmap`` add a leading axis of ``batch_size``, ``jvp`` takes (primals, tangents), ``vjp`` (primals, cotangents).
    ``options`` are given to the transformations that take them. Returns an ``Archive``; ``.save(path)`` writes it.
    """
    entries = []
    for name, (function, example_args) in functions.items():
        for text in transformations:
            fun = transform.apply(text, function, **_taken(text, options))
            program = compile_program(fun, *example_for(text, function, tuple(example_args), batch_size, options))
            program.require_portable()
            entries.append(archive.entry(name, text, program.image))
    return Archive(entries)


def _taken(text, options):
    names = transform.parse(text)
    return {k: v for k, v in options.items() if k in names or any(k in transform.ACCEPTS[n] for n in names)}


def example_for(text, function, args, batch_size, options):
    """Example arguments (as shapes) of a transformed function, from those of the plain one."""
    import jax

    names = transform.parse(text)
    shapes = jax.tree_util.tree_map(lambda x: jax.ShapeDtypeStruct(jax.numpy.shape(x), jax.numpy.result_type(x)), args)
    for at in range(len(names) - 1, -1, -1):
        inner = names[at + 1:]
        if names[at] in ("vmap", "pmap"):
            shapes = jax.tree_util.tree_map(lambda s: jax.ShapeDtypeStruct((batch_size, *s.shape), s.dtype), shapes)
        elif names[at] == "jvp":
            shapes = (shapes, shapes)
        elif names[at] == "vjp":
            spelled = "(".join(inner) + ")" * (len(inner) - 1) if inner else "jit"
            fun = transform.apply(spelled, function, **_taken(spelled, options))
            shapes = (shapes, jax.eval_shape(fun, *shapes))
    return shapes


class Archive:
    """Compiled variants, ready to be written. ``entries``: tuple of ``bytecode.library.Entry``."""

    def __init__(self, entries):
        self.entries = tuple(entries)
        self.bytes = archive.pack(self.entries)

    def save(self, path):
        """Write the ``.kjl``, whole or not at all."""
        path = Path(path)
        part = path.with_name(path.name + ".part")
        part.write_bytes(self.bytes)
        os.replace(part, path)


def loaded_libraries(environment):
    """Libraries loaded in ``environment`` (an object) and not closed, newest last."""
    return [lib for lib in sorted(_loaded, key=lambda lib: lib.serial) if lib.environment is environment and not lib.closed]


class Library:
    """An environment with, possibly, a library loaded in it; what ``load_jax_library`` returns. A context manager."""

    _serial = 0

    def __init__(self, environment, path, memory_limit):
        Library._serial += 1
        self.serial = Library._serial
        self.environment = environment
        self.closed = False
        self._entries = archive.unpack(path.read_bytes()) if path is not None else ()
        self._programs = {}
        self._handle = None
        if path is not None and hasattr(environment, "load_library"):  # kernel callers find it by name there
            self._handle = environment.load_library(archive.pack(self._entries), memory_limit=memory_limit)
        _loaded.add(self)

    @property
    def version(self):
        """Version of kjax, as text."""
        import kjax

        return kjax.__version__

    @property
    def programs(self):
        """(function, transformation, argument types) of every program of the library."""
        return tuple((e.function, e.transformation, e.signature) for e in self._entries)

    @property
    def devices(self):
        """Tuple of ``runtime.base.Device``: lanes of this environment, accelerators on the bus, JAX's PJRT devices."""
        rows = tuple(self.environment.devices())
        if self.environment.name == "embedded":
            rows += device_rows.on_pci_bus()
        return rows + device_rows.from_pjrt()

    @property
    def memory(self):
        """Bytes ``used`` by loaded programs in this environment and the ``limit`` (None: no limit)."""
        return self.environment.memory()

    def variant(self, transformation, function, args):
        """The ``Program`` of a function under a transformation whose argument types fit ``args``, or None."""
        wanted = archive.normalise(transformation)
        for e in self._entries:
            if e.function != function or e.transformation != wanted:
                continue
            if e.key not in self._programs:
                self._programs[e.key] = Program(e.image)
            program = self._programs[e.key]
            try:
                program.signature.flatten(args, {})
            except TypeError:
                continue
            return program
        return None

    def execute_jax_transformation(self, transformation, function, args, **options):
        """``kjax.execute_jax_transformation`` in this environment, with this library's functions."""
        from kjax.api.seed import execute_jax_transformation

        return execute_jax_transformation(transformation, function, args, environment=self.environment, **options)

    def execute_jax_program(self, program, *args, **options):
        """``kjax.execute_jax_program`` in this environment."""
        from kjax.api.seed import execute_jax_program

        return execute_jax_program(program, *args, environment=self.environment, **options)

    def close(self):
        """Unload; a guest that has no other library is shut down."""
        if self.closed:
            return
        self.closed = True
        self._programs.clear()
        if self._handle is not None:
            try:
                self._handle.close()
            except KjaxError:
                pass  # the guest died: nothing is loaded any more
        if self.environment.name == "guest" and not loaded_libraries(self.environment):
            self.environment.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
