"""The public functions of JAX's modules, and why some of them have no row."""

import inspect
import types

from table import MODULES

_CONCRETE = "runs before tracing: takes or returns no traced array"
_LANES = "a collective: needs an axis of pmap or shard_map; tests/unit/test_frontend_lanes.py has them"
_DYNAMIC = "its result's shape or algorithm depends on values, so jit cannot trace it"
_NATIVE = "jit lowers it to a native library or to a primitive that only some platforms have"

_REASONS = {
    "jnp": {
        _CONCRETE: "array_repr array_str broadcast_shapes can_cast einsum_path from_dlpack frombuffer fromfile fromiter fromstring "
        "get_printoptions iscomplexobj isdtype isrealobj isscalar issubdtype iterable load printoptions promote_types "
        "result_type save savez set_printoptions",
        _DYNAMIC: "trim_zeros",
        _NATIVE: "polyfit roots",
    },
    "lax": {
        _CONCRETE: "ConvGeneralDilatedDimensionNumbers DotDimensionNumbers PrecisionLike broadcast_shapes conv_dimension_numbers "
        "conv_general_permutations conv_general_shape_tuple conv_shape_tuple conv_transpose_shape_tuple dtype "
        "padtype_to_pads reduce_window_shape_tuple shape_as_value",
        _LANES: "all_gather all_to_all axis_index axis_size pbroadcast pcast pmax pmean pmin ppermute precv psend pshuffle psum "
        "psum_scatter pswapaxes ragged_all_to_all with_sharding_constraint",
        "orders side effects, of which a program has none": "after_all create_token dce_sink stage",
        "draws from a hidden state, so that no two runs agree": "rng_uniform",
        "its content is undefined": "empty",
        _NATIVE: "approx_min_k ragged_dot ragged_dot_general scaled_dot",
    },
    "nn": {_NATIVE: "get_scaled_dot_general_config scaled_dot_general scaled_matmul"},
    "special": {_DYNAMIC: "bernoulli", "its degree and order must be static and its rows are long": "sph_harm_y"},
    "random": {_CONCRETE: "key_dtype key_impl"},
    "stats": {},
}


def functions(module):
    """Names of the public functions of ``MODULES[module]``; of jax.scipy.stats its distributions."""
    found = MODULES[module]
    names = [n for n in dir(found) if not n.startswith("_")]
    if module == "stats":
        return names
    return [
        n
        for n in names
        if callable(getattr(found, n))
        and not inspect.isclass(getattr(found, n))
        and not isinstance(getattr(found, n), types.ModuleType)
    ]


def reasons(module):
    """Name of a function without a row -> why."""
    return {name: why for why, names in _REASONS.get(module, {}).items() for name in names.split()}


def reason(module, name):
    return reasons(module).get(name)
