"""The rules: what may happen to the fleet, in any order that hypothesis thinks of."""

from __future__ import annotations

import sys

from hypothesis import strategies as st
from hypothesis import target
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.model.senders import Sender
from tests.model.world import World
from worker.crashpoints import CrashPoint

MOST_MESSAGES = 4
MOST_SENDERS = 3
MOVES = ("hold", "release", "cancel", "resolve_sent", "resolve_resend", "resend")

masters = st.sampled_from([0, 0, 0, 0, 1])
numbers = st.integers(0, 3)
verdicts = st.sampled_from(["accepted", "accepted", "deferred", "rejected"])
stops = st.sampled_from([None, None, CrashPoint.DOT_SENT, *list(CrashPoint)[2:]])
"""Where a process is held, or dies; None: nowhere."""


class Protocol(RuleBasedStateMachine):
    """A history of the fleet; `world` is set by whoever runs it."""

    world: World
    settles = True
    """Whether each history ends with all that is open coming to its end, once faults stop."""

    @initialize(messages=st.integers(2, 3), limit=st.sampled_from([1, 1, 1, 2]))
    def begin(self, messages: int, limit: int) -> None:
        self.world.begin()
        self.world.set_limit(limit)
        for _ in range(messages):
            self.world.enqueue()

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            target(-self.world.books.tightest_us() / self.world.books.window_us)
            if self.settles:
                self.world.settle_down()
        self.world.end()

    # The fleet.

    @precondition(lambda self: len(self.world.books.enqueued) < MOST_MESSAGES)
    @rule()
    def enqueue(self) -> None:
        self.world.enqueue()

    @rule(master=masters)
    def sweep(self, master: int) -> None:
        self.world.sweep(master)

    @rule(master=masters)
    def recover(self, master: int) -> None:
        self.world.recover(master)

    @precondition(lambda self: self.world.published and self.has_room)
    @rule(number=numbers, master=masters)
    def take(self, number: int, master: int) -> None:
        self.world.take(number, master)

    @precondition(lambda self: self.held)
    @rule(number=numbers)
    def step(self, number: int) -> None:
        self.world.step(self._one(self.held, number))

    @precondition(lambda self: self.asked)
    @rule(number=numbers, verdict=verdicts, heard=st.sampled_from([True, True, False]))
    def answer(self, number: int, verdict: str, heard: bool) -> None:
        sender = self._one(self.asked, number)
        self.world.answer(sender, verdict, heard=heard)
        self.world.step(sender)

    @precondition(lambda self: self.has_room)
    @rule(master=masters, verdict=verdicts, stops_at=stops, dies=st.booleans())
    def send(self, master: int, verdict: str, stops_at: CrashPoint | None, dies: bool) -> None:
        """A send that ends, or is held or dies on its way."""
        self._send(master, verdict, stops_at, dies=dies)

    @precondition(lambda self: self.has_room)
    @rule(stops_at=st.sampled_from([CrashPoint.DOT_SENT, CrashPoint.ANSWERED, CrashPoint.SETTLED]))
    def send_late_and_die(self, stops_at: CrashPoint) -> None:
        """The dot comes at the last moment, and nobody confirms its permit."""
        self._send(0, "accepted", stops_at, dies=True, dot_after=59)

    @precondition(lambda self: self.has_room)
    @rule(master=masters)
    def send_at_the_slot(self, master: int) -> None:
        """The first moment at which there may be room is used."""
        self.world.to_the_next_slot(master)
        self._send(master, "accepted", None, dies=False)

    def _send(
        self,
        master: int,
        verdict: str,
        stops_at: CrashPoint | None,
        *,
        dies: bool,
        dot_after: float = 0,
    ) -> None:
        world = self.world
        if not world.published:
            world.sweep(master)
        while world.published:
            sender = world.take(0, master)
            while sender.alive and sender.at is not stops_at:
                if sender.at is CrashPoint.BEFORE_DATA:
                    world.pass_by(dot_after)
                elif sender.at is CrashPoint.DOT_SENT:
                    world.answer(sender, verdict, heard=True)
                world.step(sender)
            if sender.alive and dies:
                world.crash(sender)
            if sender.claimed or sender.alive:  # else its task had come too late
                return

    @precondition(lambda self: self.asked or self.has_room)
    @rule(
        verdict=st.sampled_from(["accepted", "deferred"]),
        decision=st.sampled_from([None, *MOVES[2:]]),
        released=st.booleans(),
    )
    def answer_late(self, verdict: str, decision: str | None, released: bool) -> None:
        """The message was taken for unknown, and perhaps decided on, before its process goes on."""
        world = self.world
        if not self.asked:
            self._send(0, verdict, CrashPoint.DOT_SENT, dies=False)
        if not self.asked:
            return
        sender = self.asked[0]
        world.answer(sender, verdict, heard=True)
        world.step(sender)  # the answer is there; the process is held before it settles
        self.time_overtakes()
        if decision is not None:
            world.person(sender.message_id, decision)
        if released:
            world.sweep(0)
        if sender.alive:
            world.step(sender)

    # Faults.

    @precondition(lambda self: self.world.senders)
    @rule(number=numbers)
    def crash(self, number: int) -> None:
        self.world.crash(self._one(self.world.senders, number))

    @rule(master=masters)
    def flush(self, master: int) -> None:
        self.world.flush(master)

    @precondition(lambda self: self.world.published)
    @rule(number=numbers, twice=st.booleans())
    def broker_errs(self, number: int, twice: bool) -> None:
        """A task is lost, or comes twice."""
        published = self.world.published
        place = number % len(published)
        if twice:
            published.append(published[place])
        else:
            published.pop(place)

    @rule()
    def broker_is_late(self) -> None:
        """Tasks come only after their messages were released once more."""
        self.world.sweep(0)
        self.time_overtakes()
        self.world.sweep(0)

    @precondition(lambda self: self.world.senders)
    @rule(
        number=numbers,
        fault=st.sampled_from(["turn 0", "turn 1", "cut before", "cut after", "silent", "deaf"]),
        silences=st.sampled_from([1, 3]),
    )
    def line_errs(self, number: int, fault: str, silences: int) -> None:
        """Another master answers at Redis's address; an answer of a COMMIT or of Redis is lost."""
        sender = self._one(self.world.senders, number)
        kind, _, how = fault.partition(" ")
        if kind == "turn":
            sender.throttle.turn(int(how))
        elif kind == "cut":
            sender.cut = how
        else:
            sender.throttle.silences, sender.throttle.after = silences, kind == "silent"

    # Time and people.

    @rule(seconds=st.sampled_from([1, 121, 3601]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_by(seconds)

    @rule()
    def time_overtakes(self) -> None:
        """The deadline of all that is under way passes, and is noticed."""
        self.world.pass_by(721)
        self.world.recover(0)

    @rule(
        number=numbers,
        what=st.sampled_from(["limit", "account", "policy", "active", "fallback", *MOVES]),
        limit=st.sampled_from([1, 1, 1, 2]),
        yes=st.booleans(),
    )
    def people(self, number: int, what: str, limit: int, yes: bool) -> None:
        """A person changes the task or its account, or moves a message."""
        world = self.world
        if what == "limit":
            world.set_limit(limit)
        elif what == "account":
            world.set_account_limit(limit if yes else 1000)
        elif what == "policy":
            world.set_policy("resend" if yes else "hold")
        elif what == "active":
            world.set_active(yes)
        elif what == "fallback":
            world.set_own_account(yes)
        else:
            world.person(self._one(sorted(world.books.enqueued), number), what)

    # What rules ask for.

    @property
    def held(self) -> list[Sender]:
        """Processes that go on by themselves."""
        return [one for one in self.world.senders if one.at is not CrashPoint.DOT_SENT]

    @property
    def asked(self) -> list[Sender]:
        """Processes that wait for the server's answer."""
        return [one for one in self.world.senders if one.at is CrashPoint.DOT_SENT]

    @property
    def has_room(self) -> bool:
        return len(self.world.senders) < MOST_SENDERS

    def _one(self, among: list, number: int):  # type: ignore[no-untyped-def,type-arg]
        return among[number % len(among)]
