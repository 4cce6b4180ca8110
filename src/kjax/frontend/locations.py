"""MLIR locations -> source lines of the user's code.

JAX writes ``"name stack"(callsite("f"("file.py":3:5) at "g"(...)))``: the innermost frame that is not
inside JAX itself is the line to show.
"""

import os

from jaxlib.mlir import ir

from kjax.ir.graph import Source


def _not_the_users():
    """Folders of JAX, and of what calls it for us."""
    import jax
    import jaxlib

    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders = [os.path.dirname(os.path.abspath(m.__file__)) for m in (jax, jaxlib)]
    return tuple(folder + os.sep for folder in [*folders, os.path.join(own, "frontend"), os.path.join(own, "api")])


_OTHERS = _not_the_users()


def frames(location):
    """(file, line) pairs, innermost first. Iterative: call stacks in locations can be deep."""
    todo = [location]
    while todo:
        at = todo.pop()
        if isinstance(at, ir.FileLineColLoc):
            yield at.filename, at.start_line
        elif isinstance(at, ir.CallSiteLoc):
            todo += [at.caller, at.callee]
        elif isinstance(at, ir.NameLoc):
            todo.append(at.child_loc)
        elif isinstance(at, ir.FusedLoc):
            todo += reversed(at.locations)


def _name(location):
    while isinstance(location, (ir.CallSiteLoc, ir.FusedLoc)):
        location = location.callee if isinstance(location, ir.CallSiteLoc) else location.locations[0]
    if isinstance(location, ir.NameLoc) and not isinstance(location.child_loc, ir.FileLineColLoc):
        return location.name_str
    return location.name_str if isinstance(location, ir.NameLoc) else ""


def source_of(location, prefix=""):
    """Source of an operation; ``prefix`` is the name stack of the calls that it was inlined from."""
    name = _name(location).rstrip(":")
    name = f"{prefix}/{name}" if prefix and name and not name.startswith(prefix) else name or prefix
    for file, line in frames(location):
        if not file.startswith(_OTHERS) and not file.startswith("<"):
            return Source("<module>" if file == "-" else file, line, name)
    return Source("", 0, name)
