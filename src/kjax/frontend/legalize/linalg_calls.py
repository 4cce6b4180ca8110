"""Calls of LAPACK, as JAX writes them for the CPU: ``custom_call @lapack_sgesdd_ffi`` and the like.

Attributes are LAPACK's letters (uplo, mode, side ...) as numbers. Matrices are declared column-major, by layouts, which
says that LAPACK sees the matrix that the module means; with other layouts it would see another, so those are refused.
``info`` is 0 or not, which is all that JAX asks; results that LAPACK merely leaves behind are refused when they are used.
"""

import re

from kjax.frontend.builder import PART
from kjax.frontend.legalize import linalg
from kjax.frontend.legalize.reduction import sort_values
from kjax.frontend.legalize.registry import rule
from kjax.isa.linalg import DTYPES, MAX_SIZE

REAL, COMPLEX = "sd", "cz"


def lapack(names, letters=REAL + COMPLEX):
    """Register for the given element types: the rule gets (b, call) and gives the results in LAPACK's order."""
    targets = [f"custom_call.lapack_{letter}{name}_ffi" for name in names.split() for letter in letters]

    def register(function):
        def lower(b, node):
            return function(b, Call(b, node))

        rule(*targets)(lower)
        return function
    return register


class Call:
    """A node with the attributes of its backend_config."""

    def __init__(self, b, node):
        self.b, self.node, self.operands = b, node, node.operands
        self.target = node.attr("call_target_name")
        self.options = node.attr("mhlo.backend_config") or node.attr("backend_config") or {}
        if not isinstance(self.options, dict):
            self.options = {}
        if any(v.dtype not in (*DTYPES, "i32") for v in self.operands):
            self.refuse(f"its operands are {', '.join(str(v.type) for v in self.operands)}")
        for name, values in (("operand_layouts", self.operands), ("result_layouts", node.types)):
            self.check_layouts(node.raw(name), values)

    def refuse(self, why):
        return self.b.refuse(f"stablehlo.custom_call @{self.target}", why, "Write it with jax.lax.linalg")

    def check_layouts(self, layouts, values):
        for layout, value in zip(layouts or (None,) * len(values), values, strict=True):
            type = getattr(value, "type", value)
            if type.rank < self.rank or self.rank < 2 or type.dtype == "i32" or 1 in type.shape[-2:] or not type.size:
                continue
            dims = [int(d) for d in re.findall(r"\d+", str(layout).partition(">")[0])]  # dense<[1, 2, 0]> : tensor<3xindex>
            if dims[:2] != [type.rank - 2, type.rank - 1]:
                self.refuse(f"{type} is not declared column-major, which LAPACK's matrices are")

    @property
    def rank(self):
        """Of a batch of matrices."""
        return max(v.type.rank for v in self.operands)

    def letter(self, name):
        value = self.options.get(name)
        return chr(value) if isinstance(value, int) else value

    def flag(self, name):
        return bool(self.options.get(name, False))

    def unused(self, index):
        """The result ``index`` holds what LAPACK left there: nobody may use it. Returns an operand of that type."""
        result = self.node.op.results[index]
        if any(True for _ in result.uses):
            self.refuse(f"its result {index}, which is working memory, is used")
        return self.b.full(0, self.node.types[index])

    def zero(self, index):
        return self.b.full(0, self.node.types[index])


def _lower_of(b, call):
    """The operand by whose lower triangle a Hermitian matrix is given."""
    (a,) = call.operands
    return a if call.letter("uplo") == "L" else linalg.adjoint(b, a)


@lapack("syevd", REAL)
@lapack("heevd", COMPLEX)
def eigh(b, call):
    w, v, info = b.linalg("eigh", _lower_of(b, call))
    return [v, w, info]


@lapack("gesdd gesvd")
def svd(b, call):
    (a,) = call.operands
    u, vh = call.node.types[2:4]
    full = u.shape[-1] == a.shape[-2] and vh.shape[-2] == a.shape[-1]
    if max(a.shape[-2:]) > MAX_SIZE >= 4 * min(a.shape[-2:]) and a.type.size and not full:
        return [call.unused(0), *linalg.tall_svd(b, a)]
    return [call.unused(0), *b.linalg("svd", a, flags=("full",) * full)]


def _parts(b, w):
    return [b.map("real", w), b.map("imag", w)]


@lapack("geev")
def eig(b, call):
    (a,) = call.operands
    w, vl, vr, info = b.linalg("eig", a)
    return [*([w] if a.dtype in PART else _parts(b, w)), vl, vr, info]


@lapack("gees")
def schur(b, call):
    (a,) = call.operands
    if call.letter("sort") not in (None, "N"):
        call.refuse("it sorts eigenvalues")
    t, z, w, info = b.linalg("schur", a)
    return [t, z, *([w] if a.dtype in PART else _parts(b, w)), call.zero(len(call.node.types) - 2), info]


@lapack("gehrd")
def hessenberg(b, call):
    (a,) = call.operands
    if (call.options.get("low", 1), call.options.get("high", a.shape[-1])) != (1, a.shape[-1]):
        call.refuse("it reduces a part of its operand only")
    return [*b.linalg("hessenberg", a), call.zero(2)]


@lapack("sytrd", REAL)
@lapack("hetrd", COMPLEX)
def tridiagonal(b, call):
    """By the upper triangle: the lower one of the matrix with rows and columns in reverse order."""
    (a,) = call.operands
    lower, last = call.letter("uplo") == "L", a.type.rank - 1
    results = b.linalg("tridiagonal", a if lower else b.reverse(a, (last - 1, last)))
    if not lower:
        h, *rest = results
        results = [b.reverse(h, (last - 1, last)), *(b.reverse(r, (last - 1,)) for r in rest)]
    return [*results, call.zero(4)]


@lapack("potrf")
def cholesky(b, call):
    (a,) = call.operands
    return list(linalg.cholesky_factor(b, a, call.letter("uplo") == "L"))


@lapack("getrf")
def lu(b, call):
    return b.linalg("lu", *call.operands)


@lapack("geqrf")
def qr(b, call):
    return b.linalg("qr", *call.operands)


@lapack("geqp3")
def qr_pivoted(b, call):
    return b.linalg("qr_pivoted", *call.operands)


@lapack("orgqr", REAL)
@lapack("ungqr", COMPLEX)
def reflector_product(b, call):
    return [linalg.reflector_product(b, *call.operands)]


@lapack("ormqr", REAL)
@lapack("unmqr", COMPLEX)
def reflector_apply(b, call):
    """From the right: the adjoint of what the adjoint does from the left."""
    a, taus, c = call.operands
    left, flip = call.flag("left"), call.flag("transpose")
    if not c.type.size or not taus.type.size:
        return [c]
    a = b.slice_dim(a, a.type.rank - 1, 0, taus.shape[-1])
    flags = ("adjoint",) * (flip == left)
    (out,) = b.linalg("reflector_apply", a, taus, c if left else linalg.adjoint(b, c), flags=flags)
    return [out if left else linalg.adjoint(b, out)]


@lapack("trsm")
def triangular_solve(b, call):
    a, y = call.operands
    return [linalg.solve_triangle(b, a, y, left=call.letter("side") == "L", lower=call.letter("uplo") == "L",
                                  transpose=call.letter("trans_x"), unit=call.letter("diag") == "U")]


@lapack("gtsv")
def tridiagonal_solve(b, call):
    x, info = b.linalg("tridiagonal_solve", *call.operands)
    return [*(call.unused(k) for k in range(3)), x, info]


@rule("custom_call.tridiagonal_solve_perturbed_ffi")
def tridiagonal_solve_perturbed(b, node):
    return [b.linalg("tridiagonal_solve", *Call(b, node).operands, flags=("perturb",))[0]]


@rule("custom_call.ApproxTopK")
def approx_top_k(b, node):
    """Exact, whatever recall is asked for: sorted by the module's comparator."""
    values, places = node.operands[:2]
    options = node.attr("mhlo.backend_config")
    dim = options["reduction_dim"] % values.type.rank
    (comparator,) = node.attr("called_computations")
    results = sort_values(b, [values, places], dim, lambda *pair: node.call(comparator, list(pair))[0])
    return [b.slice_dim(r, dim, 0, t.shape[dim]) for r, t in zip(results, node.types, strict=True)]
