"""jax.lax with its options: element types of products, all of a convolution's dilations and groups, dilated windows, modes of
gather and scatter, sorts with several keys, scans that run backward, reductions by any body."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from table import rows


def product(left, right, result):
    """dot_general of arrays of these types, wanted in that type."""
    def fn(a, b):
        return lax.dot_general(a.astype(left), b.astype(right), (((1,), (0,)), ((), ())), preferred_element_type=result)
    return fn


def conv(numbers, **options):
    def fn(x, w):
        return lax.conv_general_dilated(x, w, dimension_numbers=numbers, **options)
    return fn


def window(init, op, **options):
    return lambda x: lax.reduce_window(x, np.array(init, x.dtype), op, **options)


def then(a, b):
    """First the map v -> a0 v + a1, then b's: the order matters."""
    return a[0] * b[0], a[1] * b[0] + b[1]


def largest(a, b):
    """Of (value, place) pairs, as an argmax's body has it: the larger value, and of equal ones the first."""
    better = (a[0] > b[0]) | ((a[0] == b[0]) & (a[1] < b[1]))
    return tuple(lax.select(jnp.broadcast_to(better, x.shape), x, y) for x, y in zip(a, b))


ROWS = [
    *rows("lax", "i:5,7 i:7,3", {f"dot_general_{a}_{b}_{c}": product(a, b, c) for a, b, c in [
        ("int8", "int8", "int32"), ("uint8", "uint8", "uint32"), ("uint8", "int8", "int32"), ("int8", "uint8", "int32"),
        ("int8", "int8", "int8"), ("uint8", "uint8", "int32"), ("int16", "int16", "int32"), ("int16", "int8", "int32"),
        ("int32", "int32", "int32"), ("int8", "int8", "float32"), ("int8", "int8", "int16"), ("bool", "bool", "bool")]},
          grad=False),
    *rows("lax", "x:5,7 x:7,3", {f"dot_general_{a}_{b}_{c}": product(a, b, c) for a, b, c in [
        ("bfloat16", "bfloat16", "float32"), ("float16", "float16", "float32"), ("bfloat16", "bfloat16", "bfloat16"),
        ("float16", "float16", "float16"), ("bfloat16", "float32", "float32"), ("float32", "bfloat16", "float32"),
        ("float16", "bfloat16", "float32")]}, tolerance=8e-3),
    *rows("lax", "x:2,3,4,5 x:5,2,3,4", {
        "dot_general_batches": lambda a, b: lax.dot_general(a, b, (((3,), (0,)), ((0, 1), (1, 2)))),
        "dot_general_two_contracted": lambda a, b: lax.dot_general(a, b, (((3, 1), (0, 2)), ((0,), (1,)))),
        "dot_general_all_contracted": lambda a, b: lax.dot_general(a, b, (((0, 1, 2, 3), (1, 2, 3, 0)), ((), ())))}),
    *rows("lax", "x:2,4,9,8 x:6,2,3,3", {
        "conv_groups": conv(("NCHW", "OIHW", "NCHW"), window_strides=(1, 2), padding="SAME", feature_group_count=2),
        "conv_all_options": conv(("NCHW", "OIHW", "NCHW"), window_strides=(2, 1), padding=((2, 3), (-1, 4)), lhs_dilation=(2, 1),
                                 rhs_dilation=(1, 3), feature_group_count=2),
        "conv_channels_last": lambda x, w: conv(("NHWC", "HWIO", "NHWC"), window_strides=(1, 1), padding="SAME",
                                                feature_group_count=2)(x.transpose(0, 2, 3, 1), w.transpose(2, 3, 1, 0)),
        "conv_depthwise": lambda x, w: conv(("NCHW", "OIHW", "NCHW"), window_strides=(1, 1), padding="VALID",
                                            feature_group_count=x.shape[1])(x, jnp.tile(w[:2, :1], (x.shape[1] // 2, 1, 1, 1))),
        "conv_batch_groups": lambda x, w: conv(("NCHW", "OIHW", "NCHW"), window_strides=(1, 1), padding="SAME",
                                               batch_group_count=2)(x[:, :2], w),
        "conv_batch_groups_dilated": lambda x, w: conv(
            ("NCHW", "OIHW", "NCHW"), window_strides=(2, 2), padding=((0, 2), (3, -1)), lhs_dilation=(1, 2), rhs_dilation=(2, 1),
            batch_group_count=2)(x[:, :2], w)}, tolerance=1e-4, vmap=False),
    *rows("lax", "x:3,32,21,19 x:48,16,5,3", {
        "conv_groups_wide": conv(("NCHW", "OIHW", "NCHW"), window_strides=(1, 1), padding="SAME", feature_group_count=2)},
          vmap=False, tolerance=1e-4),
    *rows("lax", "x:6,16,21,19 x:48,16,5,3", {
        "conv_batch_groups_wide": conv(("NCHW", "OIHW", "NCHW"), window_strides=(1, 2), padding="SAME", batch_group_count=3)},
          vmap=False, tolerance=1e-4),
    *rows("lax", "x:2,70,13,9 x:140,1,3,3", {
        "conv_depthwise_wide": conv(("NCHW", "OIHW", "NCHW"), window_strides=(1, 1), padding="SAME", feature_group_count=70,
                                    rhs_dilation=(2, 1))}, vmap=False, tolerance=1e-4),
    *rows("lax", "x:2,4,11 x:6,4,3", {
        "conv_1d": conv(("NCH", "OIH", "NCH"), window_strides=(2,), padding=((3, 0),), rhs_dilation=(2,)),
        "conv_1d_vmap": lambda x, w: jax.vmap(conv(("NCH", "OIH", "NCH"), window_strides=(1,), padding="SAME"),
                                              (None, 0))(x, jnp.stack([w, w * 2])),
        "conv_1d_transposed": lambda x, w: lax.conv_transpose(x, w, (3,), "VALID", dimension_numbers=("NCH", "OIH", "NCH"))},
          tolerance=1e-4),
    *rows("lax", "x:1,2,5,6,7 x:3,2,2,3,2", {
        "conv_3d": conv(None, window_strides=(1, 2, 1), padding="SAME", rhs_dilation=(2, 1, 1))}, tolerance=1e-4, vmap=False),
    *rows("lax", "i:2,4,9 i:6,4,3", {
        "conv_int8": lambda x, w: conv(("NCH", "OIH", "NCH"), window_strides=(1,), padding="SAME",
                                       preferred_element_type="int32")(x.astype("int8"), w.astype("int8")),
        "conv_int32": conv(("NCH", "OIH", "NCH"), window_strides=(2,), padding="SAME")}, grad=False, vmap=False),
    *rows("lax", "x:2,4,9 x:6,4,3", {
        "conv_bfloat16_float32": lambda x, w: conv(("NCH", "OIH", "NCH"), window_strides=(1,), padding="SAME",
                                                   preferred_element_type="float32")(x.astype("bfloat16"), w.astype("bfloat16"))},
          grad=False, vmap=False, tolerance=8e-3),
    *rows("lax", "x:9,8", {
        "window_dilated_sum": window(0, lax.add, window_dimensions=(3, 2), window_strides=(2, 1), padding=((1, 2), (0, 3)),
                                     window_dilation=(2, 3))}),
    *rows("lax", "x:9,8", {
        "window_all_max": lambda x: window(-jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else 0, lax.max, window_dimensions=(3, 2),
                                           window_strides=(2, 3), padding=((1, 0), (2, 1)), base_dilation=(2, 1),
                                           window_dilation=(1, 2))(x),
        "window_min": lambda x: window(jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else 99, lax.min, window_dimensions=(1, 4),
                                       window_strides=(1, 1), padding="VALID")(x),
        "window_spread_sum": window(0, lax.add, window_dimensions=(2, 3), window_strides=(1, 2), padding=((0, 1), (2, 2)),
                                    base_dilation=(3, 2)),
        "window_product": window(1, lax.mul, window_dimensions=(2, 2), window_strides=(1, 1), padding="SAME", window_dilation=(2, 2)),
        "window_custom": window(0, lambda a, b: a + b + a * b, window_dimensions=(2, 3), window_strides=(2, 2), padding="VALID"),
        "window_of_one": window(0, lax.add, window_dimensions=(1, 1), window_strides=(3, 2), padding=((0, 2), (1, 0)))},
          grad=False, tolerance=1e-4),
    *rows("lax", "x:9,8", {
        **{f"gather_{mode}": lambda x, mode=mode: x.at[jnp.array([0, 8, 70, -1, -70]), jnp.array([7, 0, 1, -8, 2])].get(mode=mode)
           for mode in ("fill", "clip", "drop")},
        "gather_fill_value": lambda x: x.at[jnp.array([0, 99])].get(mode="fill", fill_value=7),
        "gather_in_bounds": lambda x: x.at[jnp.array([0, -1])].get(mode="promise_in_bounds", indices_are_sorted=False),
        "gather_grid": lambda x: x[jnp.array([[0], [3]]), jnp.array([[1, 0, 2]])],
        "gather_of_slices": lambda x: lax.gather(
            x, jnp.array([[1, 2], [90, 90], [-9, 0]]), lax.GatherDimensionNumbers((1, 2), (), (0, 1)), (2, 1), mode="clip"),
        "gather_of_slices_filled": lambda x: lax.gather(
            x, jnp.array([[1, 0], [90, 90], [-9, 0]]), lax.GatherDimensionNumbers((1,), (1,), (0, 1)), (2, 1), mode="fill"),
        **{f"scatter_{mode}": lambda x, mode=mode: x.at[jnp.array([0, 99, -99]), 0].set(jnp.array([1, 2, 3], x.dtype), mode=mode)
           for mode in ("drop", "clip")},
        **{f"scatter_add_{mode}": lambda x, mode=mode: x.at[jnp.array([1, 1, 99, -99])].add(x[:4], mode=mode)
           for mode in ("drop", "clip")},
        "scatter_mul_unique": lambda x: x.at[jnp.array([3, 1])].multiply(x[:2], unique_indices=True, mode="drop"),
        "scatter_min_slices": lambda x: x.at[jnp.array([1, 4]), 1:4].min(x[:2, :3])}),
    *rows("lax", "x:9,8", {
        "sort_two_keys": lambda x: lax.sort((jnp.round(x), jnp.abs(x), -x), dimension=0, num_keys=2),
        "sort_three_keys": lambda x: lax.sort((x > 0, jnp.round(x), x), dimension=1, num_keys=3),
        "sort_stable": lambda x: lax.sort((jnp.sign(x), lax.broadcasted_iota(jnp.int32, x.shape, 1)), num_keys=1, is_stable=True),
        "sort_mixed_types": lambda x: lax.sort((jnp.round(x).astype(jnp.int8), x, x > 0), dimension=0, num_keys=1),
        "sort_descending": lambda x: jnp.sort(x, axis=0, descending=True),
        "argsort_descending": lambda x: jnp.argsort(x, axis=1, descending=True, stable=True),
        **{f"{name}_reverse": lambda x, f=getattr(lax, name): f(x, axis=1, reverse=True)
           for name in ("cumsum", "cumprod", "cummax", "cummin")},
        "cumlogsumexp_reverse": lambda x: lax.cumlogsumexp(x, axis=0, reverse=True),
        **{f"argmax_{t}": lambda x, t=t: lax.argmax(x, 1, t) for t in ("int8", "uint8", "int16", "uint32")},
        "argmin_uint16": lambda x: lax.argmin(x, 0, "uint16"),
        "argmax_keepdims": lambda x: jnp.argmax(jnp.where(x > 1, jnp.nan, x) if jnp.issubdtype(x.dtype, jnp.floating) else x,
                                                axis=0, keepdims=True),
        "top_k_axis": lambda x: lax.top_k(x, 2, axis=0),
        "reduce_custom": lambda x: lax.reduce(x / 8, jnp.array(0, (x / 8).dtype), lambda a, b: a + b + a * b, (1,)),
        "reduce_of_maps": lambda x: lax.reduce((x * 0 + 1, x), (jnp.array(1, x.dtype), jnp.array(0, x.dtype)), then, (1,))},
          grad=False, tolerance=1e-4),
    *rows("lax", "x:9,8", {
        "reduce_pairs": lambda x: lax.reduce((x, lax.broadcasted_iota(jnp.int32, x.shape, 1)), (x[0, 0] * 0 - 9, jnp.int32(99)),
                                             largest, (1,))}, grad=False, vmap=False),
    *rows("lax", "x:9,8", {
        "scan_reverse": lambda x: lax.scan(lambda c, r: (jnp.tanh(c + r), c * r), x[0], x, reverse=True),
        "scan_unroll": lambda x: lax.scan(lambda c, r: (c * 0.5 + r, jnp.sin(c)), x[0], x, unroll=4),
        "scan_without_input": lambda x: lax.scan(lambda c, _: (c * 0.5 + 1, c[0]), x, None, length=5),
        "scan_of_scans": lambda x: lax.scan(lambda c, r: lax.scan(lambda d, e: (d * 0.9 + e, d - e), c, r), x[0, 0], x),
        "scan_of_tree": lambda x: lax.scan(lambda c, r: ({"a": c["a"] + r[0], "n": c["n"] + 1}, (c["a"], r[1])),
                                           {"a": x[0], "n": 0}, (x, x[:, 0])),
        "associative_scan_reverse": lambda x: lax.associative_scan(jnp.add, x, reverse=True, axis=1),
        "map_batches": lambda x: lax.map(lambda r: jnp.sum(r) + r, x, batch_size=4),
        "fori_indexed": lambda x: lax.fori_loop(0, x.shape[0], lambda i, c: c.at[i].set(c[i - 1] * 0.5 + c[i]), x),
        "cond_of_tree": lambda x: lax.cond(x.sum() > 0, lambda a: (a, a[0]), lambda a: (-a, a[1]), x)}, tolerance=1e-4),
    *rows("lax", "x:9,8", {
        "fori_to_a_bound": lambda x: lax.fori_loop(0, jnp.abs(x[0, 0]).astype(int) + 3, lambda i, c: c * 0.5 + i, x),
        "while_of_tree": lambda x: lax.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] * 0.5 + s[0], ~s[2]), (0, x, x > 0)),
        "switch_outside": lambda x: [lax.switch(i, [jnp.sin, jnp.cos, jnp.abs], x) for i in (-4, 9)]}, grad=False, tolerance=1e-4),
]
