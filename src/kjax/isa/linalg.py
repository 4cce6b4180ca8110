"""Dense linear algebra: the kinds of the instruction ``linalg``, one row each.

An operand is a dense batch of matrices: (name, element, rows, columns). Element: "t" the instruction's dtype, "r" the real
type of its parts, "c" the complex type of such parts, "i" i32. Rows and columns are among the sizes m, n, k of the
instruction, "min" (of m and n), "n-1", "1", and, for the singular vectors, "left" and "right": all of them (m, n) with the
flag ``full``, else min. A result may be left out: then it is not computed where that saves work.

The engine computes in f64 whatever the dtype, and rounds once at the end.
"""

from dataclasses import dataclass

DTYPES = ("f32", "f64", "c64", "c128")
MAX_SIZE = 1 << 15  # m and n: what one matrix takes stays far below the limit of bytes
MAX_COLUMNS = 1 << 30  # k
ELEMENTS = "tcri"
DIMS = ("1", "m", "n", "k", "min", "n-1", "left", "right")
FLAGS = {"full": 1, "lower": 2, "unit": 4, "perturb": 8, "adjoint": 16}


@dataclass(frozen=True)
class Kind:
    number: int
    name: str
    summary: str
    operands: tuple
    results: tuple
    flags: tuple = ()

    @property
    def sizes(self):
        """Those of m, n, k that the kind has."""
        return "".join(s for s in "mnk" if any(s in o[2:] for o in self.operands))


def _row(number, name, summary, operands, results, *flags):
    def parsed(text):
        rows = (word.split(":") for word in text.split())
        return tuple((n, e, *(dims.split(",") + ["1"])[:2]) for n, e, dims in rows)

    return Kind(number, name, summary, parsed(operands), parsed(results), flags)


KINDS = (
    _row(1, "eigh", "eigenvalues, ascending, and vectors of a Hermitian matrix, of which the lower triangle is read",
         "a:t:n,n", "w:r:n v:t:n,n info:i:1"),
    _row(2, "svd", "singular values, descending, left vectors and adjoint right vectors",
         "a:t:m,n", "s:r:min u:t:m,left vh:t:right,n info:i:1", "full"),
    _row(3, "schur", "upper triangular (for real matrices quasi-triangular) form, its unitary basis, and eigenvalues",
         "a:t:n,n", "t:t:n,n z:t:n,n w:c:n info:i:1"),
    _row(4, "eig", "eigenvalues, left and right eigenvectors of length 1, their largest component real",
         "a:t:n,n", "w:c:n vl:c:n,n vr:c:n,n info:i:1"),
    _row(5, "hessenberg", "upper Hessenberg form; reflectors below it, and their factors",
         "a:t:n,n", "h:t:n,n taus:t:n-1"),
    _row(6, "tridiagonal", "tridiagonal form of a Hermitian matrix, by its lower triangle; reflectors, diagonals, factors",
         "a:t:n,n", "h:t:n,n d:r:n e:r:n-1 taus:t:n-1"),
    _row(7, "qr", "R above; reflectors below the diagonal, and their factors", "a:t:m,n", "r:t:m,n taus:t:min"),
    _row(8, "qr_pivoted", "the same of the matrix with its columns in an order that makes R's diagonal descend (from 1; columns "
         "whose entry is not 0 at first come before all others)", "a:t:m,n jpvt:i:n", "r:t:m,n jpvt:i:n taus:t:min"),
    _row(9, "reflector_product", "first n columns of the product of k reflectors", "a:t:m,n taus:t:k", "q:t:m,n"),
    _row(10, "reflector_apply", "product of k reflectors, or its adjoint, times a matrix", "a:t:m,k taus:t:k c:t:m,n", "c:t:m,n",
         "adjoint"),
    _row(11, "lu", "factors of the matrix with rows swapped: pivots from 1; info: the first pivot that is zero",
         "a:t:m,n", "lu:t:m,n pivots:i:min info:i:1"),
    _row(12, "cholesky", "lower triangular factor of a Hermitian matrix, by its lower triangle; zeros above; info: the first "
         "pivot that is not positive", "a:t:n,n", "l:t:n,n info:i:1"),
    _row(13, "triangular_solve", "x of a x = b, where a is a triangle of the operand (unit: its diagonal is taken as ones)",
         "a:t:n,n b:t:n,k", "x:t:n,k", "lower", "unit"),
    _row(14, "tridiagonal_solve", "x of a x = b with the lower, middle and upper diagonal of a (perturb: pivots that are nearly "
         "zero are replaced); info: the first pivot that is zero", "dl:t:n d:t:n du:t:n b:t:n,k", "x:t:n,k info:i:1", "perturb"),
)

BY_NAME = {k.name: k for k in KINDS}
BY_NUMBER = {k.number: k for k in KINDS}

REAL = {"f32": "f32", "f64": "f64", "c64": "f32", "c128": "f64"}
COMPLEX = {"f32": "c64", "f64": "c128", "c64": "c64", "c128": "c128"}


def element(letter, dtype):
    """Name of an operand's element type in an instruction of ``dtype``."""
    return {"t": dtype, "r": REAL[dtype], "c": COMPLEX[dtype], "i": "i32"}[letter]


def size(dim, sizes, full=False):
    """A number of rows or columns, by ``sizes`` ({"m": .., "n": .., "k": ..})."""
    if dim in ("left", "right"):
        dim = {"left": "m", "right": "n"}[dim] if full else "min"
    if dim == "min":
        return min(sizes["m"], sizes["n"])
    if dim == "n-1":
        return max(sizes["n"] - 1, 0)
    return 1 if dim == "1" else sizes[dim]


def matrix_rank(row):
    """How many dims an operand has besides the batch: (name, element, rows, columns); columns of 1 are not a dim."""
    return 2 if row[3] != "1" else 1 if row[2] != "1" else 0


def shape(row, sizes, full=False):
    """The dims of an operand besides the batch."""
    return tuple(size(d, sizes, full) for d in row[2:2 + matrix_rank(row)])
