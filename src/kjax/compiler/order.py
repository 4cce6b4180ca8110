"""A list whose members know their places: comparing two of them, and moving one before another, cost next to nothing.

A member has an attribute ``place``, a number that grows along the list. Places are far apart; a member that moves gets
one between its new neighbours, and when there is none left all places are given anew.
"""

GAP = 1 << 512
SHARE = 64  # a member that moves takes a 64th of the gap: most of it is left for the next one that comes there


class Order:
    def __init__(self):
        self._next, self._previous = {None: None}, {None: None}  # None: before the first and after the last

    def __iter__(self):
        member = self._next[None]
        while member is not None:
            yield member
            member = self._next[member]

    def _link(self, before, member):
        after = self._next[before]
        self._next[before] = self._previous[after] = member
        self._next[member], self._previous[member] = after, before

    def append(self, member):
        last = self._previous[None]
        self._link(last, member)
        member.place = GAP + (last.place if last is not None else 0)

    def remove(self, member):
        before, after = self._previous.pop(member), self._next.pop(member)
        self._next[before], self._previous[after] = after, before

    def move(self, members, target):
        """Move ``members`` (in their order, all after ``target`` now) to just before ``target``."""
        for member in members:
            self.remove(member)
            before = self._previous[target]
            self._link(before, member)
            start = before.place if before is not None else 0
            member.place = start + (target.place - start) // SHARE
            if member.place == start:
                self._spread()

    def put(self, member, target):
        """Move ``member`` to where ``target`` is, before it; nothing when they are the same."""
        if member is not target:
            self.move([member], target)

    def _spread(self):
        for k, member in enumerate(self):
            member.place = (k + 1) * GAP
