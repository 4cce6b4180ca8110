"""What the host does at a program's traces: prints in JAX's own format, calls of Python functions.

``Host`` is made from the ``sites`` of a program's META, which say everything of a print; Python functions are
added by the process that compiled the program. Nothing here imports jax.
"""

import struct
import sys
from dataclasses import dataclass

import numpy as np

from kjax.bytecode.outline import meta
from kjax.errors import CompileError, VerifyError
from kjax.ir import trees
from kjax.isa import dtypes

_RECORD = struct.Struct("<IIQQQII")
_VALUE = struct.Struct("<IIQ")


@dataclass(frozen=True)
class Record:
    """A print as a kernel kept it: ``site`` of the program, number of the ``run``, ``time`` in ns, the values."""

    site: int
    lane: int
    run: int
    sequence: int
    time: int
    arrays: tuple


def records(data):
    """The records in bytes that ``KJAX_IOC_TRACE`` or libkjax wrote (``struct kjax_trace_record``)."""
    at, found = 0, []
    while at < len(data):
        size, site, sequence, run, time, lane, count = _RECORD.unpack_from(data, at)
        place, arrays = at + _RECORD.size, []
        for _ in range(count):
            dtype, rank, length = _VALUE.unpack_from(data, place)
            shape = struct.unpack_from(f"<{rank}Q", data, place + _VALUE.size)
            place += _VALUE.size + 8 * rank
            kind = dtypes.BY_NUMBER[dtype].numpy
            arrays.append(np.frombuffer(data, kind, length // kind.itemsize, place).reshape(shape))
            place += length + -length % 8
        found.append(Record(site, lane, run, sequence, time, tuple(arrays)))
        at += size
    return found


class Shown(np.ndarray):
    """An array that prints as ``jax.Array`` does."""

    def __format__(self, spec):
        return format(np.asarray(self) if self.ndim else np.asarray(self)[()], spec)

    def __str__(self):
        return str(np.asarray(self))

    def __repr__(self):
        prefix, dtype, width = "Array(", f"dtype={self.dtype.name}", np.get_printoptions()["linewidth"]
        text = f"[], shape={self.shape}" if not self.size else np.array2string(
            np.asarray(self), prefix=prefix, suffix=",", separator=", ", max_line_width=width)
        last = len(text) - text.rfind("\n") + 1
        gap = " " * len(prefix) if last + len(dtype) + 2 > width else " "
        return f"{prefix}{text},{gap}{dtype})"


class Text:
    """An argument of a print that was no array: its texts."""

    def __init__(self, said):
        self._str, self._repr = said["str"], said["repr"]

    def __str__(self):
        return self._str

    def __repr__(self):
        return self._repr

    def __format__(self, spec):
        return format(self._str, spec)


class Host:
    """Callable as the engine wants it: ``host(site, lane, arrays)`` -> list of results.

    ``sites``: META's records. ``callbacks``: {site: function of a flat list of arrays}. A site without its function is
    ``missing``; so is one of another program's, as META is not trusted.
    """

    def __init__(self, sites=(), callbacks=None):
        known = isinstance(sites, (list, tuple))
        self.sites = [s if isinstance(s, dict) and "kind" in s else {"kind": "unknown"} for s in sites] if known else []
        self.callbacks = dict(callbacks or {})

    @classmethod
    def of(cls, image, callbacks=None):
        """For a program's bytes; META that cannot be read has no sites."""
        try:
            sites = meta(image).get("sites")
        except (VerifyError, ValueError, AttributeError):
            sites = ()
        return cls(sites or (), callbacks)

    def missing(self):
        """"jax.pure_callback(f) at file:line" of every function that this process does not have."""
        return [describe(site) for k, site in enumerate(self.sites)
                if (site["kind"] == "call" or "callback" in site) and k not in self.callbacks]

    def calls(self):
        """The same of every call, whether or not this process has the function."""
        return [describe(site) for site in self.sites if site["kind"] == "call"]

    def require(self):
        """Raise CompileError when a function is missing."""
        if missing := self.missing():
            raise CompileError(f"the program calls Python: {', '.join(missing)}. Such a function lives in the process that "
                               "compiled the program, and is not part of a file: compile the function here with "
                               "kjax.compile or kjax.jit.")

    def __call__(self, site, lane, arrays):
        record = self.sites[site] if site < len(self.sites) else {"kind": "unknown"}
        if record["kind"] == "call":
            if site not in self.callbacks:
                raise CompileError(f"{describe(record)} is not in this process")
            return self.callbacks[site](arrays)
        show(record, arrays, self.callbacks.get(site))
        return ()


def describe(site):
    at = f" at {site['source']}" if site.get("source") else ""
    return f"{site.get('name', '?')}({site.get('function', '')}){at}"


def message(site, arrays, rebuild=None):
    """The text of a print. ``rebuild``: makes (args, kwargs) of the flat list, where META cannot say how."""
    if site["kind"] != "print":
        return " ".join(["kjax.trace", *map(str, arrays)])
    static, values, at = site["static"], iter(arrays), 0
    leaves = []
    while True:
        if str(at) in static:
            said = static[str(at)]
            leaves.append(Text(said) if isinstance(said, dict) else said)
        else:
            value = next(values, None)
            if value is None:
                break
            leaves.append(value.view(Shown))
        at += 1
    if "tree" in site:
        args, kwargs = trees.unflatten(site["tree"], iter(leaves))
    else:
        args, kwargs = rebuild.function(leaves) if rebuild else (leaves, {})
    if not site["placeholders"]:
        return " ".join([site["format"], *map(str, args)])
    import string

    with np.printoptions(**site["options"]):
        return string.Formatter().vformat(site["format"], args, kwargs)


def show(site, arrays, rebuild=None):
    """Print to standard output, or log where the program asked for that."""
    text, log = message(site, arrays, rebuild), site.get("log")
    if log:
        import logging

        logger = logging.getLogger(log["name"])
        logger.handle(logger.makeRecord(log["name"], log["level"], log["path"], log["line"], text, (), None))
    else:
        sys.stdout.write(text + "\n")
