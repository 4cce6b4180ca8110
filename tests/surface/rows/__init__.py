"""JAX's surface, a row a function: what plain ``jit`` lowers must compile and agree with JAX on the CPU."""

from dataclasses import replace

from rows import (
    arrays,
    complex,
    elementwise,
    fft,
    functions,
    lax,
    lax_all,
    lax_options,
    linalg,
    more,
    nn,
    random,
    random_all,
    random_types,
    reductions,
    shape,
    special,
)

_MODULES = (elementwise, shape, arrays, reductions, more, lax, lax_all, lax_options, nn, linalg, fft, special, functions, random,
            random_all, random_types, complex)

# seconds of JAX's compiler each: for make exhaustive
_SLOW = set("""
random.f random.beta random.ball random.multinomial random.t random.generalized_normal random.gamma random.loggamma random.chisquare
random.dirichlet random.double_sided_maxwell random.poisson random.binomial random.lognormal special.hyp2f1 special.hyp1f1 special.expi
special.exp1 special.expn special.gammaincc special.gammainc special.betainc special.sici special.beta lax.random_gamma_grad
lax.igamma_grad_a lax.igammac stats.gamma jnp.setxor1d jnp.intersect1d
""".split())

# where neither result is exact: name -> dtypes, and why JAX in float64 is the measure
_PRODUCT = {"f16": "a product of so many leaves the range on its way, in one order of factors and not in another"}
_BY_F64 = {
    "jnp.cumprod": _PRODUCT, "lax.cumprod": _PRODUCT, "jnp.cumprod_axis": _PRODUCT,
    "jnp.nanmean": {"f16 bf16": "JAX sums in the narrow type, in an order of its own"},
    "nn.softmax": {"f16 bf16": "the gradient of its sum is nothing but rounding"},
    "nn.standardize": {"f16 bf16": "the gradient is a difference of sums that nearly cancel"},
}
_UNTRIED = {"lax.reduce_prod": _PRODUCT}


def _row(row):
    return replace(row, slow=row.slow or row.name in _SLOW, by_f64={**_BY_F64.get(row.name, {}), **row.by_f64},
                   untried={**_UNTRIED.get(row.name, {}), **row.untried})


ROWS = [_row(row) for module in _MODULES for row in module.ROWS]
