"""Statuses of the engine: a number, a name, and what it tells. Families have gaps; numbers never change meaning."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    number: int
    name: str
    meaning: str


STATUSES = (
    Status(0, "ok", "done"),
    # the vm's progress (not failures)
    Status(1, "again", "the budget of this slice is used up; call run again to go on"),
    Status(2, "waiting", "this lane waits for others in an exchange; run the others, then this one again"),
    Status(3, "asking", "the program has a trace for its host, who takes it and calls run again"),
    Status(4, "parted", "the next step may be done in parts by the team; when they are done, call run again"),
    # container
    Status(16, "truncated", "shorter than its header says, or than a header"),
    Status(17, "bad_magic", "not a kjax program"),
    Status(18, "bad_version", "written by a newer or an incompatible kjax"),
    Status(19, "bad_section", "a section is missing, repeated, misplaced, misaligned or of the wrong size"),
    Status(20, "bad_hash", "the bytes of a section, or of the header, do not match their hash"),
    Status(21, "reserved_set", "a reserved field or padding byte is not zero"),
    # tables
    Status(32, "bad_tensor", "a tensor has an unknown dtype or storage, or lies outside its storage"),
    Status(33, "bad_argument", "an input or output does not match its tensor"),
    # instructions
    Status(48, "bad_opcode", "unknown opcode, flag or field value"),
    Status(49, "bad_length", "an instruction is longer or shorter than its fields need, or runs past the code"),
    Status(50, "bad_rank", "rank or a group of dims is out of range, or a dim is not positive"),
    Status(51, "bad_operand", "an operand names no tensor, or one that may not be used so"),
    Status(52, "out_of_bounds", "a view reaches outside its tensor"),
    Status(53, "bad_overlap", "a view written to overlaps a view that the same instruction reads differently"),
    Status(54, "bad_nesting", "while, do, case, branch and end do not nest"),
    Status(55, "too_deep", "regions nest deeper than the engine's stack"),
    Status(56, "read_only", "a constant or an input would be written to"),
    Status(57, "no_host", "the program calls its host, who takes no calls"),
    # bodies
    Status(64, "bad_uop", "unknown micro-operation, or a field that must be zero is not"),
    Status(65, "bad_register", "a register out of range, or read before it is written"),
    Status(66, "bad_dtype", "a register or view holds another element type than the operation takes"),
    Status(67, "bad_body", "a body is out of range, too long, or misses what its instruction needs"),
    # limits
    Status(80, "too_large", "more memory, tensors, arguments or code than the limits allow"),
    Status(81, "over_cost", "the operation budget that the program needs is over the limit"),
    # run time
    Status(96, "out_of_fuel", "the program used up its fuel"),
    Status(97, "too_many_trips", "a loop ran longer than the bound that it declares"),
    Status(98, "deadline", "the deadline passed"),
    Status(99, "interrupted", "a signal or the owner stopped it"),
    Status(100, "lane_failed", "another lane of this program failed or left while this one waited for it"),
    Status(101, "no_fpu", "floating point cannot be used in this context now"),
    Status(102, "no_memory", "memory could not be had"),
    Status(103, "bad_call", "wrong number of arguments, a null or misaligned buffer"),
    Status(104, "host_failed", "the host failed in a call that the program made"),
)

BY_NAME = {s.name: s for s in STATUSES}
BY_NUMBER = {s.number: s for s in STATUSES}
