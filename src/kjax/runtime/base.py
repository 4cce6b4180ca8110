"""What every environment offers: load a program, run it, list devices, close.

This package needs NumPy and the engine only, never jax: a board that only runs programs imports no more.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Facts:
    """What the verifier proved about a loaded program (bytes and work units; see ``struct kjx_facts``)."""

    plan_bytes: int
    arena_bytes: int
    constant_bytes: int
    input_bytes: int
    output_bytes: int
    cost: int
    flops: int
    cost_is_open: bool
    n_inputs: int
    n_outputs: int
    n_instructions: int
    lanes: int
    n_traces: int = 0
    n_calls: int = 0
    part_bytes: int = 0  # of each thread, where a run has several


@dataclass(frozen=True)
class Device:
    """Something that can run programs, or is known not to.

    ``kind`` is "cpu" (a lane), "gpu", "tpu", "accelerator" or "pjrt"; ``usable`` is False with the reason in ``why``.
    """

    id: str
    kind: str
    name: str
    features: tuple = ()
    driver: str = ""
    usable: bool = True
    why: str = ""


class Loaded(Protocol):
    """A program in an environment. Closing it frees its memory there; so does closing the environment."""

    facts: Facts

    def run(self, inputs, *, deadline=None, fuel=None, in_place=False):
        """Run once.

        ``inputs``: a sequence of C-contiguous NumPy arrays of the program's exact shapes and dtypes; for a program with
        lanes > 1, a sequence of such sequences, one a lane. ``deadline`` in seconds from now; ``fuel`` in work units.
        ``in_place``: outputs that alias an input are written into the caller's array and returned as that
        array; else the input is copied first and left as it was. Returns a list of new arrays (a list of lists with
        lanes). Raises DeadlineError, DeviceError.
        """

    def close(self): ...


class Environment(Protocol):
    """A place with an engine: ``name`` is "embedded", "device" or "guest"."""

    name: str

    def load(self, image, *, memory_limit=None, cpu=None, host=None, threads=None):
        """Verify ``image`` (bytes) there and keep it. Raises VerifyError, LimitError, DeviceError. Returns Loaded.

        ``threads``: how many a run may use, the caller's included; None and 1: the caller's alone. Where an environment cannot
        give more than one, ``load`` raises DeviceError.

        ``host``: what is done at its traces, a ``runtime.trace.Host``; None: prints as its META says, no callbacks.
        """

    def devices(self):
        """Tuple of Device."""

    def memory(self):
        """Dict of bytes: ``used`` by loaded programs, ``limit`` or None."""

    def close(self): ...
