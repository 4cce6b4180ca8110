"""Limits that the verifier enforces; each is a number that bounds time, memory or stack in the kernel."""

MAX_RANK = 12  # dims of one iteration space
MAX_OPERANDS = 64  # views of one nest
MAX_REGISTERS = 64  # strip registers of one body
MAX_ACCUMULATORS = 8  # values that one nest reduces
MAX_STRIP = 1024  # elements of one strip
MAX_UOPS = 4096  # micro-operations of one body
MAX_DEPTH = 32  # nested while and case
MAX_BRANCHES = 256  # branches of one case
MAX_TENSORS = 1 << 20
MAX_ARGUMENTS = 4096  # inputs, and outputs, of one program
MAX_LANES = 64
MAX_THREADS = 64  # of one run: they share out its larger steps
MAX_SORT_OPERANDS = 16
MAX_TRACE_VALUES = 256  # inputs, and outputs, of one trace
MAX_INDEX_COMPONENTS = 12  # components of one gather or scatter origin
MAX_BYTES = 1 << 40  # any tensor, arena or image: keeps every sum of offsets inside 63 bits
