"""Programs that the fuzzers begin with: those of the refusal tests, and what the compiler makes of JAX functions."""

import pathlib
import sys
from dataclasses import replace

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "reject"))


def small():
    """{name: bytes} of one program for each kind of instruction."""
    from images import PROGRAMS

    from kjax.bytecode.assembler import assemble

    programs = {name: assemble(make()) for name, make in PROGRAMS.items()}
    long = PROGRAMS["sort_by_body"]()
    long.tensors[0] = replace(long.tensors[0], bytes=280)
    long.code[0] = replace(long.code[0], dims=(70,))
    long.arena = 320
    return {**programs, "sort_long_by_body": assemble(long)}


def compiled():
    """{name: bytes} of compiled JAX functions, without their StableHLO."""
    import jax
    import jax.numpy as jnp

    from kjax.compiler.pipeline import compile_graph
    from kjax.frontend import import_module

    def f32(*shape):
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    def i32(*shape):
        return jax.ShapeDtypeStruct(shape, jnp.int32)

    def loss(w, b, v, x):
        return (jnp.tanh(x @ w + b) @ v).mean()

    functions = {
        "grad": (jax.value_and_grad(loss, argnums=(0, 1, 2)), f32(5, 8), f32(8), f32(8, 2), f32(3, 5)),
        "softmax": (jax.nn.softmax, f32(5, 7)),
        "argmax": (lambda x: jnp.argmax(x, 1), f32(5, 7)),
        "argsort": (lambda x: jnp.argsort(x, axis=0), f32(9, 3)),
        "gather": (lambda x, i: x[i], f32(9, 3), i32(4)),
        "scatter_apply": (lambda x, i: x.at[i].apply(lambda v: v * 3 + 0.5), f32(9, 3), i32(4)),
        "scatter": (lambda x, i: x.at[i].add(1.0), f32(9, 3), i32(4)),
        "scan": (lambda x: jax.lax.scan(lambda c, a: (c + a, c * a), jnp.zeros(3), x), f32(10, 3)),
        "while": (lambda x: jax.lax.while_loop(lambda c: c < 100, lambda c: c * 2 + 1, x), i32()),
        "cond": (lambda p, x: jax.lax.switch(p, [lambda a: a * 2, lambda a: a + 1, jnp.sin], x), i32(), f32(4)),
        "convolution": (lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME"),
                        f32(1, 2, 5, 5), f32(3, 2, 3, 3)),
        "pool": (lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (2, 2), (2, 2), "VALID"), f32(6, 6)),
        "threefry": (lambda k: jax.random.bits(jax.random.wrap_key_data(k), (9,)),
                     jax.ShapeDtypeStruct((2,), jnp.uint32)),
        "complex": (lambda x: jnp.abs(jnp.exp(1j * x)), f32(8)),
        "integers": (lambda x, w: jax.lax.dot(x, w, preferred_element_type=jnp.int32), jax.ShapeDtypeStruct((5, 9), jnp.int8),
                     jax.ShapeDtypeStruct((9, 20), jnp.uint8)),
        "narrow": (lambda x: (x.astype(jnp.bfloat16) * 3).astype(jnp.int8), f32(8)),
        "concatenate": (lambda x, y: jnp.concatenate([x, y[::-1].T], 0), f32(4, 4), f32(4, 2)),
    }
    def typed(dtype, *shape):
        return jax.ShapeDtypeStruct(shape, dtype)

    for dtype in ("float32", "float64", "int32", "complex64"):  # tiles, edges, narrow rows of contractions
        functions[f"matmul_{dtype}"] = (lambda x, y: x @ y, typed(dtype, 33, 65), typed(dtype, 65, 19))
    functions |= {
        "batched": (lambda x, y: jnp.einsum("bik,bjk->bij", x, y), f32(3, 18, 40), f32(3, 7, 40)),
        "matvec": (lambda x, y: x @ y, f32(70, 130), f32(130)),
        "rows": (lambda x: x.sum(1), f32(40, 300)),
        "columns": (lambda x: (x.max(0), x.T * 2), f32(300, 20)),
        "sort_long": (lambda x, y: (jnp.sort(x), jnp.sort(y)), f32(400), typed("uint8", 300)),
        "sort_pairs": (lambda x, y: jax.lax.sort((x, y), num_keys=1), i32(90), f32(90)),
    }
    functions |= {
        "fft": (jnp.fft.fft, typed("complex64", 3, 5, 60)), "ifft2": (jnp.fft.ifft2, typed("complex128", 16, 18)),
        "rfft": (lambda x: jnp.fft.irfft(jnp.fft.rfft(x) * 2), f32(20, 48)), "fft_long": (jnp.fft.fft, typed("complex64", 1024)),
        "eigh": (jnp.linalg.eigh, f32(2, 5, 5)), "svd": (jnp.linalg.svd, f32(4, 6)), "eig": (jnp.linalg.eig, f32(6, 6)),
        "schur": (jax.scipy.linalg.schur, typed("complex64", 5, 5)), "qr": (lambda a: jax.lax.linalg.qr(a, pivoting=True), f32(5, 3)),
        "solve": (jnp.linalg.solve, typed("float64", 4, 4), typed("float64", 4, 9)), "cholesky": (jnp.linalg.cholesky, f32(4, 4)),
        "reduced": (lambda a: (jax.lax.linalg.hessenberg(a), jax.lax.linalg.tridiagonal(a)), f32(4, 4)),
        "tridiagonal_solve": (jax.lax.linalg.tridiagonal_solve, f32(5), f32(5), f32(5), f32(5, 2)),
    }
    with jax.enable_x64(True):
        return {name: compile_graph(import_module(jax.jit(f).lower(*args).as_text()))
                for name, (f, *args) in functions.items()}


def write(folder):
    """All of them as files in ``folder``; returns the paths."""
    folder = pathlib.Path(folder)
    paths = []
    for name, data in {**small(), **{"jax_" + k: v for k, v in compiled().items()}}.items():
        paths.append(folder / f"{name}.kjx")
        paths[-1].write_bytes(data)
    return paths


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    print(*write(sys.argv[1]))
