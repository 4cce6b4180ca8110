"""Every ioctl of /dev/kjax: what it gives, and each way in which it refuses: errno, status, nothing kept."""

import contextlib
import errno
import struct
from ctypes import Structure, c_byte, sizeof

import module_programs as programs
import numpy as np
import pytest

from kjax.bytecode import library as kjl
from kjax.isa import status
from kjax.runtime import uapi

BAD_CALL, TOO_LARGE = status.BY_NAME["bad_call"].number, status.BY_NAME["too_large"].number
NO_FD = -1


class Device:
    """Raw calls on an open /dev/kjax of the guest; everything opened here is closed at the end."""

    def __init__(self, port):
        self.port, self.stack = port, contextlib.ExitStack()
        self.fd = self.keep(port.open(uapi.PATH))
        self.page = port.memory(1 << 16)
        self.stack.callback(port.free, self.page)

    def keep(self, fd):
        self.stack.callback(self.port.close, fd)
        return fd

    def call(self, fd, request, record):
        """errno, 0 for success."""
        return self.port.ioctl(fd, request, record, timeout=60)

    def put(self, data, at=0):
        self.page.data[at:at + len(data)] = np.frombuffer(data, np.uint8)
        self.port.push(self.page, at, at + len(data))
        return self.page.address + at

    def get(self, n, at=0):
        self.port.pull(self.page, at, at + n)
        return bytes(self.page.data[at:at + n])

    def load(self, image, request=uapi.LOAD, **fields):
        """(errno, record); a program or library is kept until the end."""
        block = self.port.memory(max(1, len(image)))
        try:
            block.data[:] = np.frombuffer(image or b"\0", np.uint8)
            self.port.push(block)
            record = uapi.Load(image=block.address, image_bytes=len(image), **fields)
            error = self.call(self.fd, request, record)
        finally:
            self.port.free(block)
        if not error:
            self.keep(record.fd)
        return error, record

    def program(self, image, **fields):
        error, record = self.load(image, **fields)
        assert (error, record.status) == (0, 0)
        return record.fd

    def buffer(self, n):
        record = uapi.Buffer(bytes=n)
        assert self.call(self.fd, uapi.BUFFER, record) == 0 and record.status == 0
        return self.keep(record.fd)

    def slots(self, *slots, at=0):
        """Address of slots; each (fd, offset) or (fd, offset, reserved)."""
        return self.put(b"".join(struct.pack("<iIQ", s[0], (s + (0,))[2], s[1]) for s in slots), at)

    def execute(self, fd, inputs, outputs, **fields):
        """(errno, record)."""
        n_in, n_out = fields.pop("n_inputs", len(inputs)), fields.pop("n_outputs", len(outputs))
        at_in, at_out = self.slots(*inputs), self.slots(*outputs, at=1 << 15)
        record = uapi.Execute(inputs=at_in, outputs=at_out, n_inputs=n_in, n_outputs=n_out, **fields)
        return self.call(fd, uapi.EXECUTE, record), record

    def query(self):
        record = uapi.Query()
        assert self.call(self.fd, uapi.QUERY, record) == 0
        return record


@pytest.fixture
def device(guest):
    d = Device(guest.port())
    before = d.query().memory_used
    yield d
    d.stack.close()
    again = Device(guest.port())
    with again.stack:
        assert again.query().memory_used == before  # closing frees, whatever happened
    said = guest.port().dmesg()
    assert "BUG:" not in said and "WARNING:" not in said


@pytest.fixture
def adder(device):
    """fds of x + y and of a buffer for its three arguments at 0, 64, 128."""
    return device.program(programs.add()), device.buffer(192)


RECORDS = [(uapi.QUERY, uapi.Query), (uapi.DEVICES, uapi.Devices), (uapi.LOAD, uapi.Load),
           (uapi.LOAD_LIBRARY, uapi.Load), (uapi.BUFFER, uapi.Buffer), (uapi.PIN, uapi.Pin), (uapi.OPEN, uapi.Open)]  # fmt: skip


def longer(cls):
    """The struct of a later ABI: 64 bytes more."""
    return type("Longer", (Structure,), {"_fields_": [("base", cls), ("more", c_byte * 64)]})


@pytest.mark.parametrize("request_, cls", RECORDS)
def test_struct_sizes(device, request_, cls):
    short = cls()
    short.size = sizeof(cls) - 8
    assert device.call(device.fd, request_, short) == errno.EINVAL
    huge = cls()
    huge.size = 1 << 20
    assert device.call(device.fd, request_, huge) == errno.E2BIG
    late = longer(cls)()
    late.base.size = sizeof(late)
    late.more[63] = 1
    assert device.call(device.fd, request_, late) == errno.E2BIG
    with pytest.raises(OSError) as e:
        device.port._syscall("ioctl", device.fd, request_, 8)  # not mapped
    assert e.value.errno == errno.EFAULT


def test_a_longer_struct_of_zeros_is_taken(device):
    late = longer(uapi.Query)()
    late.base.size = sizeof(late)
    assert device.call(device.fd, uapi.QUERY, late) == 0
    assert late.base.abi_version == uapi.ABI_VERSION and late.base.size == sizeof(late)


def test_unknown_requests(device, adder):
    record = uapi.Query()
    assert device.call(device.fd, 0xBC7F, record) == errno.ENOTTY
    assert device.call(device.fd, uapi.EXECUTE, record) == errno.ENOTTY
    assert device.call(adder[0], uapi.LOAD, record) == errno.ENOTTY
    assert device.call(adder[1], uapi.INFO, record) == errno.ENOTTY


def test_query(device):
    q = device.query()
    assert (q.abi_version, q.format_major) == (uapi.ABI_VERSION, 1)
    assert q.cpus & 1 << uapi.CPUS["scalar"]
    assert 1 <= q.lanes <= q.max_lanes == 64
    assert 0 < q.owner_limit <= q.memory_limit and q.owner_used == 0
    q = uapi.Query()
    q.reserved[3] = 1
    assert device.call(device.fd, uapi.QUERY, q) == errno.EINVAL


def test_devices(device):
    record = uapi.Devices()
    assert device.call(device.fd, uapi.DEVICES, record) == 0
    record = uapi.Devices(capacity=record.count + 1, devices=8)
    assert device.call(device.fd, uapi.DEVICES, record) == (errno.EFAULT if record.count else 0)
    record = uapi.Devices()
    record.reserved[0] = 1
    assert device.call(device.fd, uapi.DEVICES, record) == errno.EINVAL and record.status == BAD_CALL


# --- LOAD


def test_load_and_info(device):
    before = device.query()
    fd = device.program(programs.add(1000), runs=3)
    after = device.query()
    info = uapi.Info(capacity=3, arguments=device.page.address)
    assert device.call(fd, uapi.INFO, info) == 0
    assert (info.count, info.n_inputs, info.n_outputs, info.lanes, info.runs) == (3, 2, 1, 1, 3)
    assert info.memory == after.owner_used - before.owner_used == after.memory_used - before.memory_used
    rows = (uapi.Argument * 3).from_buffer_copy(device.get(3 * sizeof(uapi.Argument)))
    assert [(r.dtype, r.rank, r.bytes, r.dims[0]) for r in rows] == [(16, 1, 4000, 1000)] * 3
    assert {r.alias for r in rows} == {uapi.NO_ALIAS}
    info = uapi.Info(capacity=1, arguments=device.page.address)
    assert device.call(fd, uapi.INFO, info) == 0 and info.count == 3
    info = uapi.Info(capacity=3, arguments=8)
    assert device.call(fd, uapi.INFO, info) == errno.EFAULT
    info = uapi.Info()
    info.reserved[0] = 1
    assert device.call(fd, uapi.INFO, info) == errno.EINVAL and info.status == BAD_CALL


@pytest.mark.parametrize("fields", [{"flags": 2}, {"trace_bytes": (1 << 20) + 1}, {"reserved0": 1}, {"cpu": 4}, {"cpu": 3},
                                    {"runs": 1 << 20}, {"image": 8}])
def test_load_refuses_requests(device, fields):
    if fields == {"cpu": 3} and device.query().cpus >> 3 & 1:
        pytest.skip("this guest has AVX-512")
    image = programs.add()
    block = device.put(image)
    record = uapi.Load(**{"image": block, "image_bytes": len(image), **fields})
    assert device.call(device.fd, uapi.LOAD, record) == errno.EINVAL
    assert (record.status, record.fd) == (BAD_CALL, NO_FD)


def test_load_refuses_an_image_and_says_why(device):
    image = bytearray(programs.add())
    image[len(image) // 2] ^= 1
    error, record = device.load(bytes(image), log=device.page.address, log_capacity=1 << 12)
    assert error == errno.ENOEXEC and record.fd == NO_FD and 16 <= record.status < 80
    text = device.get(record.log_needed)
    assert text.endswith(b"\0") and len(text) > 8 and text.count(b"\0") == 1
    # a short log buffer gets a piece and the true size; nothing behind it is written
    device.put(b"\xee" * 64)
    error, again = device.load(bytes(image), log=device.page.address, log_capacity=5)
    assert error == errno.ENOEXEC and again.log_needed == record.log_needed
    assert device.get(64)[5:] == b"\xee" * 59
    assert device.load(b"")[1].status == status.BY_NAME["truncated"].number
    assert device.load(b"no program")[0] == errno.ENOEXEC


def test_memory_limits(device):
    """Refused before anything is taken: by the caller's limit, and by the owner's."""
    image = programs.wide(1 << 24)
    before = device.query()
    error, record = device.load(image, memory_limit=1 << 22)
    assert (error, record.status, record.fd) == (errno.ENOMEM, TOO_LARGE, NO_FD)
    error, record = device.load(image, runs=256)
    assert (error, record.status) == (errno.ENOMEM, TOO_LARGE)
    error, record = device.load(programs.wide(1 << 40))
    assert (error, record.status) == (errno.ENOMEM, TOO_LARGE)
    record = uapi.Buffer(bytes=before.owner_limit + 1)
    assert device.call(device.fd, uapi.BUFFER, record) == errno.ENOMEM and record.status == TOO_LARGE
    record = uapi.Load(image=device.page.address, image_bytes=before.image_limit + 1)
    assert device.call(device.fd, uapi.LOAD, record) == errno.ENOMEM and record.status == TOO_LARGE
    assert device.query().memory_used == before.memory_used
    assert device.load(image)[0] == 0


def test_cost_limit(device):
    error, record = device.load(programs.add(1000), cost_limit=10)
    assert (error, record.status) == (errno.EFBIG, status.BY_NAME["over_cost"].number)


# --- BUFFER


def test_buffers_are_zero_and_shared(device):
    fd = device.buffer(5000)
    block = device.port.memory(5000, fd)
    device.port.pull(block)
    assert not block.data.any()
    device.port.free(block)
    with pytest.raises(OSError):
        device.port.memory(3 * 4096, fd)
    with pytest.raises(OSError):
        device.port.memory(4096, device.fd)


@pytest.mark.parametrize("fields", [{"bytes": 0}, {"bytes": 8, "flags": 1}, {"bytes": 1 << 62}])
def test_buffer_refuses(device, fields):
    record = uapi.Buffer(**fields)
    assert device.call(device.fd, uapi.BUFFER, record) in (errno.EINVAL, errno.ENOMEM)
    assert record.status in (BAD_CALL, TOO_LARGE) and record.fd == NO_FD


# --- EXECUTE


def test_execute(device, adder):
    program, buffer = adder
    block = device.port.memory(192, buffer)
    block.data[:128].view(np.float32)[:] = np.arange(32)
    device.port.push(block)
    error, record = device.execute(program, [(buffer, 0), (buffer, 64)], [(buffer, 128)])
    assert (error, record.status) == (0, 0) and record.used > 0 and record.time > 0
    device.port.pull(block)
    want = np.arange(8) + np.arange(16, 24)
    assert (block.data[128:160].view(np.float32) == want).all()
    assert not block.data[160:].any()
    device.port.free(block)


def test_an_output_in_place_may_be_left_out(device):
    program, buffer = device.program(programs.bump()), device.buffer(64)
    block = device.port.memory(64, buffer)
    block.data[:32].view(np.float32)[:] = 1
    device.port.push(block)
    for output, factor in ((NO_FD, 0), 2), ((buffer, 0), 4):
        error, record = device.execute(program, [(buffer, 0)], [output])
        assert (error, record.status) == (0, 0)
        device.port.pull(block)
        assert (block.data[:32].view(np.float32) == factor).all()
    error, record = device.execute(program, [(buffer, 0)], [(buffer, 32)])
    assert (error, record.status) == (errno.EINVAL, BAD_CALL)
    device.port.free(block)


CALLS = {
    "input missing": (lambda b: [[(b, 0)], [(b, 128)]], {}, errno.EINVAL),
    "output too many": (lambda b: [[(b, 0), (b, 64)], [(b, 128), (b, 0)]], {}, errno.EINVAL),
    "count that would wrap": (lambda b: [[(b, 0), (b, 64)], [(b, 128)]], {"n_inputs": 0x80000002}, errno.EINVAL),
    "past the end": (lambda b: [[(b, 0), (b, 164)], [(b, 128)]], {}, errno.EINVAL),
    "offset far away": (lambda b: [[(b, 0), (b, (1 << 64) - 4)], [(b, 128)]], {}, errno.EINVAL),
    "misaligned": (lambda b: [[(b, 0), (b, 66)], [(b, 128)]], {}, errno.EINVAL),
    "no buffer": (lambda b: [[(b, 0), (NO_FD, 0)], [(b, 128)]], {}, errno.EINVAL),
    "offset without buffer": (lambda b: [[(b, 0), (b, 64)], [(NO_FD, 8)]], {}, errno.EINVAL),
    "reserved in a slot": (lambda b: [[(b, 0, 1), (b, 64)], [(b, 128)]], {}, errno.EINVAL),
    "closed fd": (lambda b: [[(b, 0), (9999, 0)], [(b, 128)]], {}, errno.EBADF),
    "flags": (lambda b: [[(b, 0), (b, 64)], [(b, 128)]], {"flags": 2}, errno.EINVAL),
}


@pytest.mark.parametrize("name", CALLS)
def test_execute_refuses(device, adder, name):
    program, buffer = adder
    make, fields, want = CALLS[name]
    error, record = device.execute(program, *make(buffer), **fields)
    assert (error, record.status) == (want, BAD_CALL)


def test_execute_refuses_other_descriptors_and_bad_addresses(device, adder):
    program, buffer = adder
    for fd in (program, device.fd, 0):
        error, record = device.execute(program, [(buffer, 0), (fd, 0)], [(buffer, 128)])
        assert (error, record.status) == (errno.EBADF, BAD_CALL)
    record = uapi.Execute(inputs=8, outputs=8, n_inputs=2, n_outputs=1)
    assert device.call(program, uapi.EXECUTE, record) == errno.EFAULT
    record.reserved[1] = 1
    assert device.call(program, uapi.EXECUTE, record) == errno.EINVAL
    # after all of these the program still runs
    assert device.execute(program, [(buffer, 0), (buffer, 64)], [(buffer, 128)])[0] == 0


def test_the_program_outlives_the_device_and_the_buffer_its_mapping(device, guest):
    port = guest.port()
    other = Device(port)
    program, buffer = other.program(programs.bump()), other.buffer(64)
    block = port.memory(64, buffer)
    port.close(other.fd)
    block.data[:32].view(np.float32)[:] = 3
    port.push(block)
    assert other.execute(program, [(buffer, 0)], [(NO_FD, 0)])[0] == 0
    port.close(buffer)
    port.pull(block)
    assert (block.data[:32].view(np.float32) == 6).all()
    port.free(block)
    other.stack.close()  # closes again what is closed: EBADF is no matter


# --- names


def test_pin_open_and_remove(device):
    program = device.program(programs.add())
    pin = uapi.Pin(fd=program, name=b"sum")
    assert device.call(device.fd, uapi.PIN, pin) == 0
    try:
        again = uapi.Pin(fd=program, name=b"sum")
        assert device.call(device.fd, uapi.PIN, again) == errno.EEXIST and again.status == BAD_CALL
        again = uapi.Pin(fd=program, name=b"sum", flags=uapi.PIN_REPLACE)
        assert device.call(device.fd, uapi.PIN, again) == 0
        found = uapi.Open(library=-1, function=b"sum")
        assert device.call(device.fd, uapi.OPEN, found) == 0
        device.keep(found.fd)
        buffer = device.buffer(192)
        assert device.execute(found.fd, [(buffer, 0), (buffer, 64)], [(buffer, 128)])[0] == 0
        missing = uapi.Open(library=-1, function=b"other")
        assert device.call(device.fd, uapi.OPEN, missing) == errno.ENOENT and missing.fd == NO_FD
    finally:
        remove = uapi.Pin(fd=-1, name=b"sum", flags=uapi.PIN_REMOVE)
        assert device.call(device.fd, uapi.PIN, remove) == 0
    assert device.call(device.fd, uapi.PIN, remove) == errno.ENOENT


@pytest.mark.parametrize("fields, want", [
    ({"name": b""}, errno.EINVAL), ({"name": b"a b"}, errno.EINVAL), ({"name": b"\xff"}, errno.EINVAL),
    ({"name": b"x" * 64}, errno.EINVAL), ({"name": b"x", "flags": 4}, errno.EINVAL), ({"name": b"x", "fd": 9999}, errno.EBADF),
    ({"name": b"x", "flags": uapi.PIN_REMOVE, "fd": 0}, errno.EINVAL),
])  # fmt: skip
def test_pin_refuses(device, fields, want):
    record = uapi.Pin(**{"fd": -1, **fields})
    assert device.call(device.fd, uapi.PIN, record) == want and record.status == BAD_CALL


def _library():
    return kjl.pack([kjl.entry("f", "jit", programs.add()), kjl.entry("f", "jit", programs.add(16)),
                                 kjl.entry("f", "grad", programs.bump())])  # fmt: skip


def test_libraries(device):
    error, record = device.load(_library(), uapi.LOAD_LIBRARY)
    assert (error, record.status, record.count) == (0, 0, 3)
    seen = []
    for index in range(3):
        entry = uapi.Entry(index=index, signature=device.page.address, signature_capacity=64)
        assert device.call(record.fd, uapi.ENTRY, entry) == 0
        seen.append((entry.function, entry.transformation, device.get(entry.signature_needed)))
    assert seen == [(b"f", b"grad", b"f32[8]\0"), (b"f", b"jit", b"f32[16],f32[16]\0"), (b"f", b"jit", b"f32[8],f32[8]\0")]
    assert device.call(record.fd, uapi.ENTRY, uapi.Entry(index=3)) == errno.ENOENT
    found = uapi.Open(library=record.fd, transformation=b"jit( grad )", function=b"f")
    assert device.call(device.fd, uapi.OPEN, found) == 0
    device.keep(found.fd)
    signature = b"f32[8],f32[8]"
    found = uapi.Open(library=record.fd, transformation=b"jit", function=b"f", signature=device.put(signature),
                      signature_bytes=len(signature))
    bad_spelling = uapi.Open(library=record.fd, transformation=b"jit((", function=b"f")
    if device.call(device.fd, uapi.OPEN, found) == 0:
        device.keep(found.fd)
    info = uapi.Info()
    assert device.call(found.fd, uapi.INFO, info) == 0 and info.input_bytes == 64
    assert device.call(device.fd, uapi.OPEN, bad_spelling) in (errno.ENOENT, errno.EINVAL)


def test_library_refuses(device):
    error, record = device.load(_library()[:-64], uapi.LOAD_LIBRARY, log=device.page.address, log_capacity=256)
    assert error == errno.ENOEXEC and record.log_needed > 1
    data = bytearray(_library())
    data[-70] ^= 1  # in the last program
    error, record = device.load(bytes(data), uapi.LOAD_LIBRARY)
    assert error == errno.ENOEXEC and record.count == 2 and record.fd == NO_FD
    error, record = device.load(programs.add(), uapi.LOAD_LIBRARY)
    assert error == errno.ENOEXEC
    error, record = device.load(_library(), uapi.LOAD_LIBRARY, memory_limit=30000)
    assert (error, record.status) == (errno.ENOMEM, TOO_LARGE)

