"""The ctypes structures against the C headers: every size, offset and number, as the compiler sees them."""

import subprocess
from ctypes import sizeof
from pathlib import Path

import pytest

from kjax.runtime import uapi
from kjax.runtime.guest import protocol

ROOT = Path(__file__).parents[2]
C_NAME = {s: f"kjax_{s.__name__.lower()}" for s in uapi.STRUCTS}
NUMBERS = {
    **{f"KJAX_IOC_{n}": getattr(uapi, n) for n in
       ("QUERY", "DEVICES", "LOAD", "LOAD_LIBRARY", "BUFFER", "PIN", "OPEN", "INFO", "EXECUTE", "TRACE", "ENTRY")},
    "KJAX_ABI_VERSION": uapi.ABI_VERSION, "KJAX_NAME_MAX": uapi.NAME_MAX, "KJAX_RANK_MAX": uapi.RANK_MAX,
    "KJAX_FEATURE_LANES": uapi.FEATURE_LANES, "KJAX_FEATURE_LIBRARY": uapi.FEATURE_LIBRARY,
    "KJAX_FEATURE_TRACE": uapi.FEATURE_TRACE, "KJAX_LOAD_TRACE_LOG": uapi.LOAD_TRACE_LOG,
    "KJAX_PIN_REPLACE": uapi.PIN_REPLACE, "KJAX_PIN_REMOVE": uapi.PIN_REMOVE,
    "KJAX_EXECUTE_NOWAIT": uapi.EXECUTE_NOWAIT, "KJAX_NO_ALIAS": uapi.NO_ALIAS,
    **{f"KJAX_CPU_{name.upper()}": n for name, n in uapi.CPUS.items()},
}  # fmt: skip


def _compile(tmp_path, headers, lines):
    """{expression: value} as a C program prints them."""
    source = "".join(f'#include "{h}"\n' for h in headers) + "#include <stdio.h>\n#include <stddef.h>\nint main(void)\n{\n"
    source += "".join(f'printf("%s=%llu\\n", "{e}", (unsigned long long)({e}));\n' for e in lines) + "return 0; }\n"
    (tmp_path / "print.c").write_text(source)
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", tmp_path / "print", tmp_path / "print.c"], check=True)
    out = subprocess.run([tmp_path / "print"], capture_output=True, text=True, check=True).stdout
    return {key: int(value) for key, value in (line.rsplit("=", 1) for line in out.splitlines())}


@pytest.fixture(scope="module")
def header(tmp_path_factory):
    lines = list(NUMBERS)
    for s, name in C_NAME.items():
        lines.append(f"sizeof(struct {name})")
        for field, *_ in s._fields_:
            lines += [f"offsetof(struct {name}, {field})", f"sizeof(((struct {name} *)0)->{field})"]
    return _compile(tmp_path_factory.mktemp("uapi"), [ROOT / "include/uapi/linux/kjax.h"], lines)


def test_numbers(header):
    assert {name: header[name] for name in NUMBERS} == NUMBERS


@pytest.mark.parametrize("struct", uapi.STRUCTS, ids=lambda s: s.__name__)
def test_struct(header, struct):
    name = C_NAME[struct]
    assert header[f"sizeof(struct {name})"] == sizeof(struct)
    for field, kind in struct._fields_:
        assert header[f"offsetof(struct {name}, {field})"] == getattr(struct, field).offset, field
        assert header[f"sizeof(((struct {name} *)0)->{field})"] == sizeof(kind), field


def test_every_struct_of_the_header_is_there():
    text = (ROOT / "include/uapi/linux/kjax.h").read_text()
    declared = {line.split()[1] for line in text.splitlines() if line.startswith("struct ") and line.endswith("{")}
    assert declared == set(C_NAME.values())


def test_size_is_filled_in_and_the_rest_is_zero():
    for struct in uapi.STRUCTS:
        record = bytes(struct())
        sized = struct._fields_[0][0] == "size"
        assert record == (sizeof(struct).to_bytes(4, "little") if sized else bytes(4)) + bytes(sizeof(struct) - 4)


def test_agent_protocol(tmp_path):
    operations = {"OP_WRITE": 1, "OP_READ": 2, "OP_SYSCALL": 3, "OP_NOW": 4, "OP_SPAWN": 5, "OP_CANCEL": 6}
    for name, number in operations.items():
        assert getattr(protocol, name.removeprefix("OP_")) == number
    expected = {
        **operations, "OP_ALWAYS": protocol.ALWAYS, "KJAX_AGENT_VERSION": protocol.VERSION,
        "AGENT_MAGIC": protocol.MAGIC, "AGENT_MAX_FRAME": protocol.MAX_FRAME, "AGENT_MAX_OPS": protocol.MAX_OPS,
        "sizeof(struct frame)": protocol.FRAME.size, "offsetof(struct frame, id)": 4,
        "offsetof(struct frame, count)": 8, "offsetof(struct frame, length)": 12,
        "sizeof(struct op)": protocol.OP.size, "offsetof(struct op, flags)": 2, "offsetof(struct op, length)": 4,
        "offsetof(struct op, args)": 8, "sizeof(struct answer)": protocol.ANSWER.size,
        "offsetof(struct answer, length)": 4, "offsetof(struct answer, value)": 8,
    }  # fmt: skip
    assert _compile(tmp_path, [ROOT / "src/kjax/runtime/guest/agent.h"], expected) == expected


def test_system_call_numbers(tmp_path):
    expected = {f"SYS_{name}": number for name, number in protocol.SYSCALLS.items()}
    assert _compile(tmp_path, ["sys/syscall.h"], expected) == expected
