"""The engine, driven through its C API: programs are assembled in Python, verified, prepared and run in slices.

A shared library is built from ``engine/engine.mk``; ``KJX_TEST_CPU`` names the cpu table for tests that name none,
``KJX_TEST_ROOT`` another tree to build from.
``KJX_SANITIZE=1`` builds it with the address and undefined-behaviour sanitizers; Python then has to be started with
``LD_PRELOAD`` of gcc's libasan (see ``tests/engine/sanitized.sh``).
"""

import ctypes as c
import fcntl
import functools
import hashlib
import os
import pathlib
import re
import subprocess

import numpy as np
import tables

from kjax.bytecode import assembler
from kjax.isa import dtypes, status

ROOT = pathlib.Path(os.environ.get("KJX_TEST_ROOT") or pathlib.Path(__file__).resolve().parents[2])
ENGINE = ROOT / "engine"
SANITIZE = bool(os.environ.get("KJX_SANITIZE"))
CPU = os.environ.get("KJX_TEST_CPU", "scalar")
ALL = 2**64 - 1


class Limits(c.Structure):
    _fields_ = [("memory", c.c_uint64), ("cost", c.c_uint64), ("no_calls", c.c_uint32), ("threads", c.c_uint32)]


class Log(c.Structure):
    _fields_ = [("text", c.c_char_p), ("capacity", c.c_uint32), ("needed", c.c_uint32)]


class Facts(c.Structure):
    _fields_ = [(name, c.c_uint64) for name in ("plan_bytes", "arena_bytes", "constant_bytes", "input_bytes",
                                                "output_bytes", "cost", "flops", "part_bytes", "part_links", "part_cost")] + \
               [(name, c.c_uint32) for name in ("cost_is_open", "n_inputs", "n_outputs", "n_instructions", "lanes",
                                                "n_traces", "n_calls", "failed_at")]


class Vm(c.Structure):
    _fields_ = [(name, c.c_void_p) for name in ("plan", "arena", "inputs", "outputs", "board", "team")] + \
               [(name, c.c_uint64) for name in ("fuel", "used")] + \
               [(name, c.c_uint32) for name in ("lane", "pc", "op", "status")] + \
               [("turn", c.c_uint64), ("at", c.c_uint64 * 4), ("region", c.c_uint64 * 32), ("runs", c.c_uint64)]


def _variables(path):
    found = {}
    for line in path.read_text().splitlines():
        if match := re.match(r"(\w+)\s*([:+])=\s*(.*)", line):
            found[match[1]] = (found.get(match[1], []) if match[2] == "+" else []) + match[3].split()
    return found


def _cached(folder, name, command, *inputs):
    """The file that ``command`` makes, unless one was made from the same bytes before."""
    digest = hashlib.sha256(repr(command).encode())
    for path in inputs:
        digest.update(path.read_bytes())
    made = folder / f"{name}.{digest.hexdigest()[:16]}"
    if not made.exists():
        scratch = folder / f"{name}.{os.getpid()}.new"
        # the compiler is not to run under the sanitizers: it would take ten times as long
        quiet = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        subprocess.run([*command, "-o", str(scratch)], check=True, env=quiet)
        scratch.rename(made)
    return made


def library(every_table=False):
    """The engine. Under the sanitizers it has the scalar table only unless ``every_table``: those take long to compile.

    Else the cpu tables' objects are those of ``tests/ops/tables.py``, so that a run of all tests compiles them once.
    """
    return _library(every_table or not SANITIZE)


@functools.cache
def _library(every_table):
    core, flags = _variables(ENGINE / "engine.mk"), _variables(ENGINE / "flags.mk")
    cpus = flags["KJX_CPUS"] if every_table else ["scalar"]
    folder = ROOT / "build" / ("engine-sanitized" if SANITIZE else "engine-tests")
    folder.mkdir(parents=True, exist_ok=True)
    headers = sorted([*ENGINE.glob("*.h"), ENGINE / "gen/isa.h", ROOT / "host/port.h"])
    named = ("cpu.h", "edge.h", "engine.h", "format.h", "gemm.h", "image.h", "origin.h", "plan.h", "quick.h", "thread.h", "tile.h")
    shared_headers = [ROOT / "host/port.h", *(ENGINE / name for name in named)]
    ukernels = sorted([*shared_headers, *ENGINE.glob("ukernels/*"), *ENGINE.glob("gen/*")])
    check = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"] * SANITIZE
    # steps are cut for several threads though they are small
    base = ["gcc", "-std=gnu11", "-g", "-fPIC", "-c", f"-I{ROOT / 'host'}", f"-I{ENGINE}", "-DKJX_PIECE_SHIFT=4", "-DKJX_STREAM_BYTES=4096"]
    base += ["-U__x86_64__"] * (not every_table)  # then select.c knows of no other table
    integer = ["-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-strict-aliasing", "-Wframe-larger-than=1024"]
    if SANITIZE:
        integer = ["-O1", "-ffreestanding", "-fno-strict-aliasing", *check]
    elif os.uname().machine == "x86_64":
        integer.append("-mgeneral-regs-only")
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        objects = []
        for name in core["KJX_CORE"]:
            source = ENGINE / f"{name}.c"
            objects.append(_cached(folder, name + ".o", [*base, *integer, str(source)], source, *headers))
        if not SANITIZE:
            objects += [tables.objects() / f"{cpu}.o" for cpu in cpus]
        for cpu in cpus if SANITIZE else ():
            source = ENGINE / "cpu" / f"{cpu}.c"
            command = [*base, *flags["KJX_FP_FLAGS"], *flags["KJX_FLAGS_" + cpu], "-w"]
            if SANITIZE and cpu == "scalar":
                command += ["-O1", *check]
            objects.append(_cached(folder, cpu + ".o", [*command, str(source)], source, *ukernels))
        shared = _cached(folder, "engine.so", ["gcc", "-shared", *check, *map(str, objects)], *objects)
    lib = c.CDLL(str(shared), mode=os.RTLD_LAZY)
    lib.kjx_verify.restype = c.c_uint32
    lib.kjx_verify.argtypes = [c.c_void_p, c.c_uint64, c.c_void_p, c.c_void_p, c.c_void_p]
    lib.kjx_prepare.restype = c.c_void_p
    lib.kjx_prepare.argtypes = [c.c_void_p, c.c_void_p, c.c_void_p, c.c_void_p]
    lib.kjx_cpu_select.restype = c.c_void_p
    lib.kjx_cpu_select.argtypes = [c.c_uint32, c.c_char_p]
    lib.kjx_start.restype = None
    lib.kjx_start.argtypes = [c.c_void_p] * 6 + [c.c_uint32, c.c_uint64]
    lib.kjx_run.restype = c.c_uint32
    lib.kjx_run.argtypes = [c.c_void_p, c.c_uint64]
    lib.kjx_team_bytes.restype = c.c_uint64
    lib.kjx_team_bytes.argtypes = [c.c_uint32]
    lib.kjx_team_start.restype = None
    lib.kjx_team_start.argtypes = [c.c_void_p] * 4 + [c.c_uint32]
    lib.kjx_team_work.restype = c.c_uint32
    lib.kjx_team_work.argtypes = [c.c_void_p, c.c_uint32, c.c_uint64]
    lib.kjx_team_is_done.restype = c.c_bool
    lib.kjx_team_is_done.argtypes = [c.c_void_p]
    return lib


class Buffer:
    """Bytes at a multiple of 64, in an allocation that ends where they end, so that a sanitizer sees an overrun."""

    def __init__(self, size, fill=None):
        size = max(size, 1)
        libc = c.CDLL(None)
        libc.memalign.restype = c.c_void_p
        libc.memalign.argtypes = [c.c_size_t, c.c_size_t]
        self._free = libc.free
        self._free.argtypes = [c.c_void_p]
        self.size, self.address = size, libc.memalign(64, size)
        self.bytes = np.frombuffer((c.c_uint8 * size).from_address(self.address), np.uint8)
        self.bytes[:] = 0 if fill is None else fill

    def __del__(self):
        self.bytes = None
        self._free(self.address)


class Refused(Exception):
    def __init__(self, status_name, text):
        super().__init__(f"{status_name}: {text}")
        self.status = status_name


class Program:
    """A verified and prepared image."""

    def __init__(self, image, cpu=None):
        name = cpu or CPU
        self.lib = lib = library(name != "scalar")
        self.image = image
        data = assembler.assemble(image)
        self.data = Buffer(len(data), np.frombuffer(data, np.uint8))
        self.facts = Facts()
        text = c.create_string_buffer(512)
        log = Log(c.cast(text, c.c_char_p), 512, 0)
        got = lib.kjx_verify(self.data.address, len(data), None, c.byref(self.facts), c.byref(log))
        if got:
            raise Refused(status.BY_NUMBER[got].name, f"{text.value.decode()} (instruction {self.facts.failed_at})")
        self.plan_memory = Buffer(self.facts.plan_bytes, 0xA5)
        table = lib.kjx_cpu_select(0xffffffff, name.encode())
        assert table, f"no cpu table {name}"
        self.plan = lib.kjx_prepare(self.data.address, c.byref(self.facts), table, self.plan_memory.address)

    def lane(self, inputs, lane=0, board=None, fuel=ALL):
        return Lane(self, inputs, lane, board, fuel)

    def run(self, *inputs, budget=ALL, fuel=ALL):
        """Outputs, as arrays, of a run to the end; ``budget``: of each slice, or an iterator of budgets."""
        lane = self.lane(inputs, fuel=fuel)
        lane.finish(budget)
        return lane.outputs()


class Failed(Exception):
    def __init__(self, name):
        super().__init__(name)
        self.status = name


class Lane:
    def __init__(self, program, inputs, lane, board, fuel):
        image = program.image
        self.program = program
        self.arena = Buffer(program.facts.arena_bytes)
        self.ins, self.outs = [], []
        for argument, array in zip(image.inputs, inputs, strict=True):
            array = np.ascontiguousarray(array, dtypes.BY_NAME[argument.dtype].numpy).reshape(argument.shape)
            self.ins.append(Buffer(array.nbytes, np.frombuffer(array.tobytes(), np.uint8) if array.nbytes else None))
        for argument in image.outputs:
            size = int(np.prod(argument.shape)) * dtypes.BY_NAME[argument.dtype].size
            self.outs.append(self.ins[argument.alias] if argument.alias is not None else Buffer(size, 0x5A))
        self.in_pointers = (c.c_void_p * max(len(self.ins), 1))(*[b.address for b in self.ins])
        self.out_pointers = (c.c_void_p * max(len(self.outs), 1))(*[b.address for b in self.outs])
        self.vm = Vm()
        self.slices = 0
        self.start(lane, board, fuel)

    def start(self, lane=0, board=None, fuel=ALL):
        """Begin a run, the first one or another one in the same memory."""
        self.program.lib.kjx_start(c.byref(self.vm), self.program.plan, self.arena.address, self.in_pointers, self.out_pointers,
                                   board, lane, fuel)

    def share(self, threads):
        """Let a team of ``threads`` seats do what is worth it."""
        if not self.program.facts.part_bytes:
            return
        lib, facts = self.program.lib, self.program.facts
        self.team, self.parts = Buffer(lib.kjx_team_bytes(threads), 0xA5), Buffer(threads * facts.part_bytes, 0xA5)
        lib.kjx_team_start(c.byref(self.vm), c.byref(facts), self.team.address, self.parts.address, threads)

    def work(self, seat, budget):
        return status.BY_NUMBER[self.program.lib.kjx_team_work(c.byref(self.vm), seat, budget)].name

    def is_done(self):
        return self.program.lib.kjx_team_is_done(c.byref(self.vm))

    def step(self, budget):
        self.slices += 1
        return status.BY_NUMBER[self.program.lib.kjx_run(c.byref(self.vm), budget)].name

    def finish(self, budget=ALL):
        budgets = iter(lambda: budget, None) if isinstance(budget, int) else budget
        for b in budgets:
            got = self.step(b)
            if got == "ok":
                return
            if got != "again":
                raise Failed(got)

    def outputs(self):
        found = []
        for argument, buffer in zip(self.program.image.outputs, self.outs, strict=True):
            dtype = dtypes.BY_NAME[argument.dtype].numpy
            n = int(np.prod(argument.shape))
            found.append(buffer.bytes[:n * dtype.itemsize].copy().view(dtype).reshape(argument.shape))
        return found
