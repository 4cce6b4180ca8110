"""Libraries: written by Python, accepted by the C parser; one spelling of transformations in both."""

import ctypes

import handmade as images
import pytest

from kjax import config, errors
from kjax.bytecode import library

SPELLINGS = {
    "grad": "grad",
    "jit": "jit",
    " jit ( jit ( jit ) ) ": "jit",
    "jit(grad)": "grad",
    "jit( vmap(\n grad ) )": "vmap(grad)",
    "vmap(jit(grad))": "vmap(grad)",
    "grad[argnums = (0, 1)]": "grad[argnums=(0,1)]",
    "jit[inline=1](vmap [in_axes=0] (grad))": "jit[inline=1](vmap[in_axes=0](grad))",
    "value_and_grad": "value_and_grad",
    "x" * 63: "x" * 63,
}
WRONG = ["", " ", "(", "grad(", "grad)", "grad()", "grad(vmap))", "Grad", "grad vmap", "grad[", "grad[x", "grad[x](", "a,b",
         "x" * 64, "grad(" + "y" * 60 + ")", "grad[]x", "jit]"]


@pytest.fixture(scope="module")
def capi():
    lib = ctypes.CDLL(str(config.library()))
    lib.kjax_error.restype = ctypes.c_char_p
    lib.execute_jax_transformation.restype = ctypes.c_char_p
    lib.execute_jax_program.restype = ctypes.c_char_p
    yield lib
    lib.kjax_unload()


def entries():
    return [library.entry("f", "jit", images.elementwise("add", (3,))),
            library.entry("f", "jit", images.elementwise("add", ())),
            library.entry("f", "jit(grad)", images.elementwise("mul", (3,))),
            library.entry("another", "vmap(grad)", images.gather_lanes(2))]


def test_round_trip_in_any_order():
    packed = library.pack(entries())
    assert packed == library.pack(reversed(entries()))
    assert library.unpack(packed) == tuple(sorted(entries(), key=lambda e: e.key))
    assert [e.signature for e in library.unpack(packed)] == ["f32[2,3]", "f32[3],f32[3]", "f32[3],f32[3]", "f32[],f32[]"]
    found = library.find(library.unpack(packed), "f", " jit(grad)")
    assert found.transformation == "grad" and found.image == images.elementwise("mul", (3,))
    assert library.find(library.unpack(packed), "f", "vmap") is None


def test_what_cannot_be_packed():
    with pytest.raises(ValueError, match="twice"):
        library.pack(entries() + entries()[:1])
    with pytest.raises(ValueError, match="1 to 4096"):
        library.pack([])
    with pytest.raises(ValueError, match="1 to 63 bytes"):
        library.pack([library.Entry("g" * 64, "jit", "()", images.elementwise("add"))])


@pytest.mark.parametrize("text, spelling", SPELLINGS.items())
def test_transformations_have_one_spelling(text, spelling, tmp_path, capi):
    assert library.normalise(text) == spelling
    path = tmp_path / "x.kjl"
    path.write_bytes(library.pack([library.entry("f", text, images.elementwise("sub"))]))
    assert capi.load_jax_library(str(path).encode()) == 0
    assert capi.execute_jax_transformation(text.encode(), b"f", b"[3, 1]") == b"[2.0]", capi.kjax_error()
    assert capi.execute_jax_transformation(spelling.encode(), b"f", b"[3, 1]") == b"[2.0]"
    capi.kjax_unload()


@pytest.mark.parametrize("text", WRONG)
def test_wrong_transformations(text, tmp_path, capi):
    with pytest.raises(ValueError):
        library.normalise(text)
    path = tmp_path / "x.kjl"
    path.write_bytes(library.pack(entries()))
    assert capi.load_jax_library(str(path).encode()) == 0
    assert capi.execute_jax_transformation(text.encode(), b"f", b"[3, 1]") is None
    capi.kjax_unload()


def index_bytes(packed):
    return len(packed) - sum(len(e.image) for e in entries())


def test_every_flipped_byte_of_the_index_is_refused_by_both(tmp_path, capi):
    packed = library.pack(entries())
    path = tmp_path / "x.kjl"
    for i in range(index_bytes(packed)):
        bad = bytearray(packed)
        bad[i] ^= 1 << i % 8
        with pytest.raises(errors.VerifyError):
            library.unpack(bad)
        path.write_bytes(bad)
        assert capi.load_jax_library(str(path).encode()) >= 16, i


@pytest.mark.parametrize("n", [0, 1, 63, 64, 100, -64, -1])
def test_truncated(n, tmp_path, capi):
    bad = library.pack(entries())[:n]
    with pytest.raises(errors.VerifyError):
        library.unpack(bad)
    (tmp_path / "x.kjl").write_bytes(bad)
    assert capi.load_jax_library(str(tmp_path / "x.kjl").encode()) == 16
    assert b"x.kjl" in capi.kjax_error()


def test_text_interface(tmp_path, capi):
    path = tmp_path / "x.kjl"
    path.write_bytes(library.pack(entries()))
    assert capi.load_jax_library(None) == 0
    assert capi.load_jax_library(b"/no/such.kjl") == -2 and b"No such file" in capi.kjax_error()
    assert capi.load_jax_library(str(tmp_path).encode()) == -21
    assert capi.load_jax_library(str(path).encode()) == 0
    # the entry whose argument types the text has
    assert capi.execute_jax_transformation(b"jit", b"f", b"[1, 2]") == b"[3.0]"
    assert capi.execute_jax_transformation(b"jit", b"f", b"[[1,2,3],[1,1,1]]") == b"[[2.0,3.0,4.0]]"
    # pytrees: members of lists and objects, objects by name
    assert capi.execute_jax_transformation(b"grad", b"f", b'[{"b": [1, 2, 3], "a": {"x": [5, 5, 5]}}, []]') \
        == b"[[5.0,10.0,15.0]]"
    assert capi.execute_jax_transformation(b"vmap(grad)", b"another", b"[[[1,2,3],[4,5,6]]]") \
        == b"[[[[1.0,2.0,3.0],[4.0,5.0,6.0]],[[1.0,2.0,3.0],[4.0,5.0,6.0]]]]"
    assert capi.execute_jax_program(b"f [1e0, -2.5]") == b"[-1.5]"
    (tmp_path / "y.kjx").write_bytes(images.elementwise("max", (), "i32"))
    assert capi.execute_jax_program(str(tmp_path / "y.kjx").encode() + b" [-3, 7]") == b"[7]"


@pytest.mark.parametrize("args", [b"", b"1", b"[1]", b"[1,2,3]", b"[1,2", b"[1,,2]", b"[1 2]", b'["a", 1]', b"[[1,2],1]",
                                  b"[1,2] x", b'{"a":1,"b":2}', b"[1,2]]", b'[{"a" 1}]', b'[{"a":1,]', b"[" * 100])
def test_bad_arguments(args, tmp_path, capi):
    (tmp_path / "x.kjx").write_bytes(images.elementwise("add"))
    assert capi.execute_jax_program(str(tmp_path / "x.kjx").encode() + b" " + args) is None
    assert capi.kjax_error()


def test_unknown_names(capi):
    assert capi.execute_jax_transformation(b"grad", b"nothing", b"[]") is None
    assert capi.kjax_error() == b"no loaded library has grad of nothing"
