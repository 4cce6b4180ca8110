"""The name under which kjax lowers JAX functions.

For a platform that JAX has no special rules for, it writes every primitive out in StableHLO. What JAX has no such rule
for, or only a slow one, is lowered as for the CPU, to calls of LAPACK: ``legalize/linalg_calls.py`` knows those. ``effects`` adds
what JAX leaves to platforms: prints and callbacks.
"""

import re
import sys

from kjax.errors import UnsupportedOpError
from kjax.frontend import effects

PLATFORM = "kjax"
_EXPORTED = re.compile(r"was exported for platforms '\('(\w+)'")
_NO_BRANCH = "rule for primitive 'platform_index("
_NO_RULE = re.compile(r"rule for primitive '?([\w.]+)'? not found")


def lower(traced):
    """Lower a ``jax.stages.Traced`` for kjax. Raises UnsupportedOpError for a primitive that JAX cannot write out."""
    _enable_donation()
    effects.register(PLATFORM)
    _adopt_calls()
    try:
        return traced.lower(lowering_platforms=(PLATFORM,))
    except ValueError as error:
        match = _EXPORTED.search(str(error))
        if not match:
            raise
        return traced.lower(lowering_platforms=(match[1],))  # it calls an exported function: as that was lowered
    except NotImplementedError as error:
        if _NO_BRANCH in str(error):
            return _lower_as_on_cpu(traced)
        match = _NO_RULE.search(str(error))
        if not match:  # an option that JAX has no lowering for, on the CPU or anywhere
            raise UnsupportedOpError(f"JAX cannot lower this function: {error}") from error
        where = _where(traced, match[1].__eq__)
        raise UnsupportedOpError(f"{match[1]}{where}: JAX has no rule that writes this primitive as StableHLO operations. "
                                 "Use another algorithm, or compute it outside of the program.") from error


def results_of(lowered):
    """(shape and dtype of each result, updates, captured) of a ``jax.stages.Lowered``; the last two as ``api/signature.py`` has them.

    The module of a function that uses refs has more results than its tree: what the refs hold at the end.
    """
    import jax

    facts = lowered._lowering.compile_args
    refs = facts.get("mut")
    if refs is None:
        return jax.tree_util.tree_leaves(lowered.out_info), (), ()
    updates = tuple((result, argument) for result, argument in enumerate(refs.out_mut) if argument is not None)
    return facts["global_out_avals"], updates, tuple(refs.in_mut)


def _lower_as_on_cpu(traced):
    """Lower a function with ``lax.platform_dependent`` that has branches for platforms by name, and none for all others."""
    try:
        return traced.lower(lowering_platforms=("cpu",))
    except NotImplementedError as error:
        raise UnsupportedOpError(f"platform_index{_where(traced, 'platform_index'.__eq__)}: lax.platform_dependent has neither a "
                                 "branch for cpu nor a default. Give it one of the two.") from error


def _where(traced, wanted):
    """" at file:line (function)" of the first primitive whose name is ``wanted``, or nothing when it is not found."""
    from jax._src import core, source_info_util

    stack = [(traced.jaxpr.jaxpr, "")]
    while stack:
        jaxpr, around = stack.pop()
        for equation in jaxpr.eqns:
            here = source_info_util.summarize(equation.source_info) or around  # jax's own frames are left out
            if wanted(equation.primitive.name):
                return f" at {here}" if here else ""
            stack += [(inner, here) for inner in core.jaxprs_in_params(equation.params)]
    return ""


def _enable_donation():
    """JAX marks donated arguments only for platforms in a list of its own."""
    from jax._src.interpreters import mlir

    known = mlir._platforms_with_donation
    if PLATFORM not in known:
        known.append(PLATFORM)


_AS_ON_CPU = ("eig_p", "eigh_p", "geqp3_p", "hessenberg_p", "householder_product_p", "lu_p", "ormqr_p", "schur_p", "svd_p",
              "tridiagonal_p", "tridiagonal_solve_p")


def _adopt_calls():
    """Take over the CPU's rules for the primitives whose calls ``legalize/linalg_calls.py`` has."""
    from jax._src.interpreters import mlir
    from jax._src.lax import linalg

    rules = mlir._platform_specific_lowerings
    for name in _AS_ON_CPU:
        primitive = getattr(linalg, name, None)
        if primitive in rules["cpu"]:
            rules[PLATFORM].setdefault(primitive, rules["cpu"][primitive])
    for name, parts in _SUBSETS.items():
        primitive = getattr(linalg, name, None)
        if primitive in rules["cpu"] and rules[PLATFORM][primitive] is rules["cpu"][primitive]:
            rules[PLATFORM][primitive] = mlir.LoweringRuleEntry(_of_subset(primitive, rules["cpu"][primitive].rule, parts), True)
    sparse = sys.modules.get("jax.experimental.sparse.linalg")
    solve = getattr(sparse, "spsolve_p", None)
    if solve is not None and solve not in rules[PLATFORM]:
        rules[PLATFORM][solve] = mlir.LoweringRuleEntry(mlir.lower_fun(_solve_by_a_dense_matrix, multiple_results=False), True)


def _solve_by_a_dense_matrix(data, indices, indptr, b, **_):
    """What JAX leaves to SciPy and cuSOLVER: the solution for a matrix in compressed rows."""
    import jax.numpy as jnp

    rows = jnp.searchsorted(indptr[1:], jnp.arange(data.size), side="right")  # of elements that belong to no row: behind the last
    return jnp.linalg.solve(jnp.zeros((b.size, b.size), b.dtype).at[rows, indices].add(data, mode="drop"), b)


# primitives with ``subset_by_index``, and from which end of each result's dims the chosen ones count
_SUBSETS = {"eigh_p": (-1, -1), "svd_p": (-1, -1, -2)}


def _of_subset(primitive, whole, parts):
    """A lowering rule that takes a range out of all results; the CPU's, ``whole``, refuses one."""
    from jax import lax
    from jax._src.interpreters import mlir

    def some(x, *, subset_by_index, **params):
        results = primitive.bind(x, subset_by_index=None, **params)
        return [lax.slice_in_dim(r, *subset_by_index, axis=axis) for r, axis in zip(results, parts)]

    def rule(context, x, *, subset_by_index, **params):
        if subset_by_index is None:
            return whole(context, x, subset_by_index=None, **params)
        return mlir.lower_fun(some, multiple_results=True)(context, x, subset_by_index=subset_by_index, **params)

    return rule
