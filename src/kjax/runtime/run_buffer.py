"""Arguments of a run in the kernel travel through one kernel buffer for each run in flight, kept for the next: inputs, then
outputs, lane after lane, each at a multiple of 64 bytes.
"""

from ctypes import sizeof

import numpy as np

from kjax.runtime import uapi
from kjax.runtime.port import DEFAULT_SECONDS, aligned, failure


class RunBuffer:
    """What one run in flight needs: the kernel buffer with its mapping, and the slots that name its places."""

    def __init__(self, port, device, program):
        self._port, self._program, self._lanes = port, program, program.facts.lanes
        self._places_in, self._places_out, at = [], [], 0
        for places, arguments in ((self._places_in, program.inputs), (self._places_out, program.outputs)):
            for _ in range(self._lanes):
                for argument in arguments:
                    updates = argument.alias is not None
                    places.append(None if updates or not argument.bytes else at)
                    at += 0 if updates else aligned(argument.bytes)
            if places is self._places_in:
                self._inputs_end = at
        self._bytes = at
        self._slots = port.memory(max(1, len(self._places_in) + len(self._places_out)) * sizeof(uapi.Slot))
        self._fd, self._memory = None, None
        try:
            if self._bytes:
                record = uapi.Buffer(bytes=self._bytes)
                if error := port.ioctl(device, uapi.BUFFER, record, timeout=DEFAULT_SECONDS):
                    raise failure(error, record, f"reserving {self._bytes} bytes for arguments")
                self._fd = record.fd
                self._memory = port.memory(self._bytes, self._fd)
        except BaseException:
            self.close()
            raise
        self._views_in = self._views(self._places_in, program.inputs)
        self._views_out = self._views(self._places_out, program.outputs)
        self._write_slots()
        self._pull = self._ranges_to_pull()

    def _views(self, places, arguments):
        """NumPy arrays over the buffer, a list a lane; None for an output that updates an input."""
        views = []
        for i, place in enumerate(places):
            argument = arguments[i % len(arguments)]
            if place is not None:
                views.append(np.ndarray(argument.shape, argument.dtype, buffer=self._memory.data, offset=place))
            else:
                views.append(None if argument.alias is not None else np.empty(argument.shape, argument.dtype))
        per_lane = len(arguments)
        return [views[lane * per_lane:(lane + 1) * per_lane] for lane in range(self._lanes)]

    def _write_slots(self):
        places = self._places_in + self._places_out
        rows = (uapi.Slot * len(places))(*(
            uapi.Slot(fd=-1) if place is None else uapi.Slot(fd=self._fd, offset=place) for place in places))
        self._slots.data[:sizeof(rows)] = np.frombuffer(bytes(rows), np.uint8)
        self._slots_bytes, self._slots_sent = sizeof(rows), False

    def _ranges_to_pull(self):
        ranges = [(self._inputs_end, self._bytes)] if self._bytes > self._inputs_end else []
        updated = {a.alias for a in self._program.outputs if a.alias is not None}
        n = len(self._program.inputs)
        for i, place in enumerate(self._places_in):
            if place is not None and i % n in updated:
                ranges.append((place, place + self._program.inputs[i % n].bytes))
        return [(self._memory, start, stop) for start, stop in ranges]

    def run(self, lanes, deadline, fuel, in_place):
        for views, arrays in zip(self._views_in, lanes, strict=True):
            for view, array in zip(views, arrays, strict=True):
                view[...] = array
        push = [(self._memory, 0, self._inputs_end)] if self._inputs_end else []
        if not self._slots_sent and self._slots_bytes:
            push.append((self._slots, 0, self._slots_bytes))
        record = uapi.Execute(
            inputs=self._slots.address, outputs=self._slots.address + len(self._places_in) * sizeof(uapi.Slot),
            n_inputs=len(self._places_in), n_outputs=len(self._places_out), fuel=fuel or 0)
        error = self._port.ioctl(
            self._program._fd, uapi.EXECUTE, record, push=push, pull=self._pull, timeout=deadline,
            after=None if deadline is None else max(1, int(deadline * 1e9)))
        self._slots_sent = True
        if error:
            raise failure(error, record, "the run ended early")
        return [self._results(lane, arrays, in_place) for lane, arrays in enumerate(lanes)]

    def _results(self, lane, arrays, in_place):
        results = []
        for argument, view in zip(self._program.outputs, self._views_out[lane], strict=True):
            if view is not None:
                results.append(view.copy())
                continue
            view = self._views_in[lane][argument.alias]
            if in_place:
                arrays[argument.alias][...] = view
                results.append(arrays[argument.alias])
            else:
                results.append(view.copy())
        return results

    def close(self):
        self._views_in = self._views_out = self._pull = ()
        if self._memory is not None:
            self._port.free(self._memory)
        if self._fd is not None:
            self._port.close(self._fd)
        self._port.free(self._slots)
        self._memory = self._fd = None
