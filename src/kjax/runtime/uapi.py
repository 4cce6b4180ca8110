"""``include/uapi/linux/kjax.h`` as ctypes structures: field by field, name by name (``tests/abi`` compares).

Addresses are plain u64: they are those of the process that makes the call, which may be the agent in a guest.
"""

from ctypes import Structure, c_char, c_int32, c_uint32, c_uint64, sizeof

from kjax.isa import status

PATH = "/dev/kjax"
ABI_VERSION = 1
NAME_MAX = 64
RANK_MAX = 12

_IOC = 0xBC << 8  # _IO(KJAX_IOC, n)
QUERY, DEVICES, LOAD, LOAD_LIBRARY, BUFFER, PIN, OPEN = (_IOC | n for n in range(7))
INFO, EXECUTE, TRACE = _IOC | 0x20, _IOC | 0x21, _IOC | 0x22
ENTRY = _IOC | 0x40

FEATURE_LANES, FEATURE_LIBRARY, FEATURE_TRACE = 1, 2, 4
LOAD_TRACE_LOG = 1
TRACE_BYTES = 64 << 10  # of a ring, where load does not say
CPUS = {"scalar": 1, "avx2": 2, "avx512": 3, "avx512vnni": 4}  # kjax_load.cpu; 0 is the best
PIN_REPLACE, PIN_REMOVE = 1, 2
EXECUTE_NOWAIT = 1
NO_ALIAS = 0xFFFFFFFF
NO_INSTRUCTION = 0xFFFFFFFF


class _Sized(Structure):
    """A struct that begins with its size, filled in here. ``status`` is 0 until the kernel writes one."""

    def __init__(self, **fields):
        super().__init__(**fields)
        self.size = sizeof(self)


def _struct(name, *fields, base=_Sized):
    return type(name, (base,), {"_fields_": fields, "__doc__": f"``struct kjax_{name.lower()}``"})


Query = _struct(
    "Query",
    ("size", c_uint32), ("abi_version", c_uint32), ("format_major", c_uint32), ("format_minor", c_uint32),
    ("features", c_uint32), ("cpus", c_uint32), ("lanes", c_uint32), ("max_lanes", c_uint32),
    ("memory_used", c_uint64), ("memory_limit", c_uint64), ("owner_used", c_uint64), ("owner_limit", c_uint64),
    ("image_limit", c_uint64), ("module_version", c_char * 32), ("reserved", c_uint64 * 4),
)  # fmt: skip
Device = _struct(
    "Device",
    ("vendor", c_uint32), ("device", c_uint32), ("subsystem_vendor", c_uint32), ("subsystem_device", c_uint32),
    ("class", c_uint32), ("node", c_int32), ("address", c_char * 16), ("driver", c_char * 32),
    base=Structure,
)  # fmt: skip
Devices = _struct(
    "Devices",
    ("size", c_uint32), ("capacity", c_uint32), ("devices", c_uint64), ("count", c_uint32), ("status", c_uint32),
    ("reserved", c_uint64 * 2),
)  # fmt: skip
Load = _struct(
    "Load",
    ("size", c_uint32), ("flags", c_uint32), ("image", c_uint64), ("image_bytes", c_uint64),
    ("memory_limit", c_uint64), ("cost_limit", c_uint64), ("log", c_uint64), ("log_capacity", c_uint32),
    ("log_needed", c_uint32), ("cpu", c_uint32), ("runs", c_uint32), ("status", c_uint32), ("failed_at", c_uint32),
    ("fd", c_int32), ("count", c_uint32), ("trace_bytes", c_uint32), ("reserved0", c_uint32), ("reserved", c_uint64),
)  # fmt: skip
Buffer = _struct(
    "Buffer",
    ("size", c_uint32), ("flags", c_uint32), ("bytes", c_uint64), ("status", c_uint32), ("fd", c_int32),
    ("reserved", c_uint64 * 2),
)  # fmt: skip
Pin = _struct(
    "Pin",
    ("size", c_uint32), ("flags", c_uint32), ("fd", c_int32), ("status", c_uint32), ("name", c_char * NAME_MAX),
    ("reserved", c_uint64 * 2),
)  # fmt: skip
Open = _struct(
    "Open",
    ("size", c_uint32), ("flags", c_uint32), ("library", c_int32), ("fd", c_int32), ("status", c_uint32),
    ("signature_bytes", c_uint32), ("transformation", c_char * NAME_MAX), ("function", c_char * NAME_MAX),
    ("signature", c_uint64), ("reserved", c_uint64),
)  # fmt: skip
Entry = _struct(
    "Entry",
    ("size", c_uint32), ("index", c_uint32), ("status", c_uint32), ("signature_capacity", c_uint32),
    ("image_bytes", c_uint64), ("transformation", c_char * NAME_MAX), ("function", c_char * NAME_MAX),
    ("signature", c_uint64), ("signature_needed", c_uint32), ("reserved", c_uint32),
)  # fmt: skip
Argument = _struct(
    "Argument",
    ("dtype", c_uint32), ("rank", c_uint32), ("alias", c_uint32), ("reserved0", c_uint32), ("bytes", c_uint64),
    ("dims", c_uint64 * RANK_MAX),
    base=Structure,
)  # fmt: skip
Info = _struct(
    "Info",
    ("size", c_uint32), ("capacity", c_uint32), ("arguments", c_uint64), ("count", c_uint32), ("status", c_uint32),
    ("plan_bytes", c_uint64), ("arena_bytes", c_uint64), ("constant_bytes", c_uint64), ("input_bytes", c_uint64),
    ("output_bytes", c_uint64), ("image_bytes", c_uint64), ("memory", c_uint64), ("cost", c_uint64),
    ("flops", c_uint64), ("cost_is_open", c_uint32), ("n_inputs", c_uint32), ("n_outputs", c_uint32),
    ("n_instructions", c_uint32), ("lanes", c_uint32), ("cpu", c_uint32), ("runs", c_uint32), ("traces", c_uint32),
    ("reserved", c_uint64 * 4),
)  # fmt: skip
Slot = _struct("Slot", ("fd", c_int32), ("reserved", c_uint32), ("offset", c_uint64), base=Structure)
Execute = _struct(
    "Execute",
    ("size", c_uint32), ("flags", c_uint32), ("inputs", c_uint64), ("outputs", c_uint64), ("n_inputs", c_uint32),
    ("n_outputs", c_uint32), ("fuel", c_uint64), ("deadline", c_uint64), ("used", c_uint64), ("time", c_uint64),
    ("status", c_uint32), ("failed_lane", c_uint32), ("reserved", c_uint64 * 2),
)  # fmt: skip
Trace = _struct(
    "Trace",
    ("size", c_uint32), ("flags", c_uint32), ("records", c_uint64), ("capacity", c_uint64), ("bytes", c_uint64),
    ("left", c_uint64), ("dropped", c_uint64), ("count", c_uint32), ("next", c_uint32), ("status", c_uint32),
    ("reserved0", c_uint32), ("reserved", c_uint64 * 2),
)  # fmt: skip
Trace_Record = _struct(
    "Trace_Record",
    ("bytes", c_uint32), ("site", c_uint32), ("sequence", c_uint64), ("run", c_uint64), ("time", c_uint64),
    ("lane", c_uint32), ("values", c_uint32),
    base=Structure,
)  # fmt: skip
Trace_Value = _struct("Trace_Value", ("dtype", c_uint32), ("rank", c_uint32), ("bytes", c_uint64), base=Structure)

STRUCTS = (Query, Device, Devices, Load, Buffer, Pin, Open, Entry, Argument, Info, Slot, Execute, Trace, Trace_Record,
           Trace_Value)


def meaning(number):
    """A sentence for a status number, for errors that carry no log."""
    row = status.BY_NUMBER.get(number)
    return row.meaning if row else f"unknown status {number}"
