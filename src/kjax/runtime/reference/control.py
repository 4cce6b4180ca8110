"""Loops, branches, and where lanes meet."""

import numpy as np

from kjax.runtime.reference.rules import rule


@rule
def _while(ev, op, *state):
    condition, body = op.regions
    state, trips = list(state), 0
    while bool(ev.region(condition, state)[0]):
        trips += 1
        if ev.max_trips is not None and trips > ev.max_trips:
            raise RuntimeError(f"a loop at {op.source} ran more than {ev.max_trips} times")
        state = ev.region(body, state)
    bound = op.attributes.get("trips")
    if bound is not None and trips > bound:
        raise RuntimeError(f"a loop at {op.source} ran {trips} times, its bound is {bound}")
    return state


@rule
def _case(ev, op, index):
    k = int(index)
    last = len(op.regions) - 1
    return ev.region(op.regions[k if 0 <= k <= last else last], [])


@rule
def _all_gather(ev, op, a):
    group = next(g for g in op.attributes["groups"] if ev.lane in g)
    seen = ev.exchange.swap(ev.lane, a) if ev.exchange else [a]
    return np.stack([seen[k] for k in group])


@rule
def _permute(ev, op, a):
    seen = ev.exchange.swap(ev.lane, a) if ev.exchange else [a]
    senders = [f for f, t in op.attributes["pairs"] if t == ev.lane]
    return seen[senders[0]] if senders else np.zeros_like(a)


@rule
def _lane_id(ev, op):
    return np.array(ev.lane, np.uint32)
