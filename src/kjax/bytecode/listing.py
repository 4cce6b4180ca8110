"""A program as text: what ``kjax inspect`` and ``Program.as_text()`` print.

One line a tensor, argument, instruction, view and micro-operation::

    1  nest 4x256 strip 256 regs 2
         v0 = t0 f32 [31*i0 + i1]
         map
           r0 = load.f32 v0
           r1 = exp.f32 r0
           store.f32 v1, r1
"""

from kjax.bytecode import program as p
from kjax.isa import linalg, ops

_INDENT = "  "


def _shape(dtype, dims):
    return f"{dtype}[{','.join(map(str, dims))}]"


def _term(stride, k):
    return f"i{k}" if stride == 1 else f"-i{k}" if stride == -1 else f"{stride}*i{k}"


def _affine(offset, strides):
    terms = [_term(s, k) for k, s in enumerate(strides) if s]
    if offset or not terms:
        terms.insert(0, str(offset))
    return " + ".join(terms).replace("+ -", "- ")


def _view(view, image):
    if view.tensor is None:
        return f"iota {_affine(view.offset, view.strides)}"
    dtype = image.tensors[view.tensor].dtype if view.tensor < len(image.tensors) else "?"
    return f"t{view.tensor} {dtype} [{_affine(view.offset, view.strides)}]"


def _uop(u):
    name = f"{u.op}.{u.dtype}"
    if u.op == "store":
        return f"{name} v{u.imm}, r{u.a}"
    if u.op in ("load", "iota"):
        return f"r{u.dst} = {name} v{u.imm}"
    if u.op == "bitcast":
        return f"r{u.dst} = {name} r{u.a} as {u.imm}"
    return f"r{u.dst} = {name} " + ", ".join(f"r{r}" for r in (u.a, u.b, u.c)[:ops.BY_NAME[u.op].arity])


def _body(title, uops):
    return [title, *(_INDENT + _uop(u) for u in uops)] if uops else []


def _dims(dims):
    return "x".join(map(str, dims)) or "scalar"


def _nest(n, image):
    head = f"nest {_dims(n.dims)} strip {n.strip} regs {n.n_regs}"
    if n.n_acc:
        head += f" reduce dims {n.red_first}..{n.red_first + n.red_count - 1} into {n.n_acc}"
    if n.rows:
        head += " by rows" + ", with the one before" * (n.rows > 1)
    views = [f"v{k} = {_view(v, image)}" for k, v in enumerate(n.operands)]
    return [head, *views, *_body("map", n.map), *_body("combine", n.combine), *_body("post", n.post)]


def _dot(d, image):
    groups = zip("bmnk", (d.nb, d.nm, d.nn, d.nk), strict=True)
    split, at = [], 0
    for name, n in groups:
        split.append(f"{name} {_dims(d.dims[at:at + n])}" if n else f"{name} -")
        at += n
    views = [f"{name} = {_view(getattr(d, name), image)}" for name in ("lhs", "rhs", "out")]
    return [f"dot.{d.dtype} {', '.join(split)}", *views]


def _gather(g, image):
    head = "scatter" if g.scatter else "gather"
    head += f" batch {_dims(g.dims[:g.n_batch])} window {_dims(g.dims[g.n_batch:])}"
    if g.scatter:
        head += f" {g.mode}"
    rows = [f"origin {k}: t{x.tensor} [{_affine(x.offset, x.strides)}] in 0..{x.limit}, step {x.step}"
            + (f", below zero + {x.wrap}" if x.wrap else "")
            for k, x in enumerate(g.indices)]
    views = [f"windowed = {_view(g.windowed, image)}", f"plain = {_view(g.plain, image)}"]
    splats = [f"r{2 + k} = {_view(v, image)}" for k, v in enumerate(g.splats)]
    return [head, *views, *rows, *splats, *_body("update", g.body)]


def _sort(s, image):
    keys = ["descending" if d else "ascending" for d, _ in s.keys]
    keys = [k + (" total order" if t else "") for k, (_, t) in zip(keys, s.keys, strict=True)]
    pairs = [f"{_view(a, image)} -> {_view(b, image)}" for a, b in s.pairs]
    return [f"sort {_dims(s.dims)} " + (f"by {', '.join(keys)}" if keys else "by comparator"), *pairs,
            *_body("comparator", s.body)]


def _linalg(x, image):
    sizes = ", ".join(f"{s} {v}" for s, v in zip("mnk", x.sizes, strict=True) if v)
    row = linalg.BY_NAME[x.kind]
    views = [f"{'' if k < len(row.operands) else '-> '}{name} = " + (_view(o, image) if o else "none")
             for k, ((name, *_), o) in enumerate(zip(row.operands + row.results, x.operands, strict=True))]
    return [f"{x.kind}.{x.dtype} batch {x.batch}, {sizes}" + "".join(f", {f}" for f in x.flags), *views]


def _scan(s, image):
    return [f"scan {_dims(s.dims)} by {s.op}.{s.dtype}", f"{_view(s.input, image)} -> {_view(s.out, image)}"]


def _transform(t, image):
    flags = "".join(f", {f}" for f in t.flags) + (f", scale {t.scale:g}" if t.scale != 1 else "")
    return [f"transform.{t.dtype} {t.kind} {_dims(t.dims)}, factors {_dims(t.factors)}{flags}",
            f"{_view(t.input, image)} -> {_view(t.out, image)}", f"roots = {_view(t.roots, image)}"]


def _exchange(e, image):
    if e.kind == "lane_id":
        return [f"lane_id -> t{e.out}"]
    lanes = [entry if e.kind == "permute" else f"{entry[0]}:{entry[1]}" for entry in e.table]
    return [f"{e.kind} t{e.input} -> t{e.out} groups of {e.group_size}, lanes {' '.join(map(str, lanes))}"]


def _trace(t, image):
    def value(v):
        return _shape(v.dtype, v.shape) + (f" t{v.tensor}" if v.tensor is not None else "")

    answer = f" -> {', '.join(map(value, t.outputs))}" if t.outputs else ""
    return [f"trace.{t.kind} site {t.site} {', '.join(map(value, t.inputs))}{answer}".rstrip()]


_LINES = {
    p.Nest: _nest,
    p.Dot: _dot,
    p.Gather: _gather,
    p.Sort: _sort,
    p.Scan: _scan,
    p.Linalg: _linalg,
    p.Transform: _transform,
    p.Exchange: _exchange,
    p.Trace: _trace,
    p.While: lambda w, _: [f"while at most {w.trips} times" if w.trips else "while"],
    p.Do: lambda d, _: [f"do if t{d.tensor}[{d.offset}]"],
    p.Case: lambda c, _: [f"case t{c.tensor}[{c.offset}] of {c.branches}"],
    p.Branch: lambda b, _: ["branch"],
    p.End: lambda e, _: ["end"],
}


def _code(image):
    depth = 0
    for number, insn in enumerate(image.code):
        if isinstance(insn, (p.End, p.Do, p.Branch)):
            depth -= 1
        margin = _INDENT * max(depth, 0)
        first, *rest = _LINES[type(insn)](insn, image)
        yield f"{number:5}  {margin}{first}{_source(insn, image)}"
        for line in rest:
            yield f"{'':5}  {margin}{_INDENT * 2}{line}"
        if isinstance(insn, (p.While, p.Do, p.Case, p.Branch)):
            depth += 1


def _source(insn, image):
    """Where in the user's code an instruction comes from: row ``source`` of META's source table, from 1 on."""
    rows = image.meta.get("sources", ())
    number = getattr(insn, "source", 0)
    return f"    ; {rows[number - 1]}" if 0 < number <= len(rows) else ""


def _tensor(number, t):
    place = {"input": f"input {t.index}", "output": f"output {t.index}"}.get(t.storage, t.storage)
    if t.offset or t.storage in ("constant", "arena"):
        place += f" + {t.offset}"
    return f"t{number:<5} {t.dtype:5} {t.bytes:>12,} bytes  {place}"


def _argument(kind, number, a):
    text = f"{kind} {number:<3} {_shape(a.dtype, a.shape):24} "
    text += "no elements" if a.tensor is None else f"t{a.tensor}"
    return text + (f", updates input {a.alias} in place" if a.alias is not None else "")


def as_text(image):
    """The listing of an Image."""
    lanes = f", {image.lanes} lanes" if image.lanes > 1 else ""
    sizes = f"arena {image.arena:,} bytes, constants {len(image.constants):,} bytes"
    lines = [f"program: {len(image.code)} instructions, {sizes}{lanes}", ""]
    lines += [_argument("input ", k, a) for k, a in enumerate(image.inputs)]
    lines += [_argument("output", k, a) for k, a in enumerate(image.outputs)]
    lines += ["", *(_tensor(k, t) for k, t in enumerate(image.tensors)), "", *_code(image)]
    return "\n".join(lines) + "\n"
