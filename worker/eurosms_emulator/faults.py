"""What the gateway does wrong on purpose, and to whom."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any


class Kind(StrEnum):
    """A way to misbehave."""

    SLOW = "slow"
    """The answer comes `seconds` later; the request is carried out at once."""
    DROP_BEFORE_READING = "drop-before-reading"
    """The connection is reset; nothing is carried out."""
    DROP_AFTER_ACCEPT = "drop-after-accept"
    """The request is carried out, and the connection closes in place of an answer."""
    LOST_ANSWER = "lost-answer"
    """The same, for `status/any` unless another path is named."""
    ERROR_JSON = "error-json"
    """500 with a JSON body."""
    ERROR_HTML = "error-html"
    """500 with a page for people."""
    HTML = "html"
    """200 with a page for people, as of a captive portal."""
    REDIRECT = "redirect"
    """302 to somewhere else on this server."""
    TRUNCATED = "truncated"
    """Carried out; half of the JSON, as if it were the whole."""
    CUT_OFF = "cut-off"
    """Carried out; half of the JSON, and the connection closes before the rest."""
    REFUSE = "refuse"
    """An SMS is refused with `code`."""
    NO_BALANCE = "no-balance"
    """An SMS is refused for lack of credit."""
    LATE = "late"
    """The delivery reports of an SMS come `seconds` later than what they report."""
    DOUBLED = "doubled"
    """A delivery report comes twice."""
    OUT_OF_ORDER = "out-of-order"
    """The last status of an SMS is reported first, then those before it."""


PATHS = {
    Kind.DROP_AFTER_ACCEPT: "send/*",
    Kind.LOST_ANSWER: "status/any",
    Kind.REFUSE: "send/*",
    Kind.NO_BALANCE: "send/*",
    Kind.LATE: "send/*",
    Kind.OUT_OF_ORDER: "send/*",
}
"""What a fault strikes if it names no path; the others strike everything. What comes of an SMS is
settled when it is sent; `doubled` strikes `status/any` and `push`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong.

    Attributes:
        kind: which.
        number: shell pattern for recipients.
        path: shell pattern for what is asked, such as `send/one`; empty for that of its kind.
        times: how often at most; None is always.
        after: how many times it lets pass first.
        chance: of each time, 0 to 1.
        seconds: for those that take time; of the emulator's clock for `late`.
        code: for `refuse`.
        carry_out: whether `error-…`, `html` and `redirect` do what was asked for before they lie.
    """

    kind: Kind
    number: str = "*"
    path: str = ""
    times: int | None = None
    after: int = 0
    chance: float = 1.0
    seconds: float = 1.0
    code: str = "ERR_OTHER"
    carry_out: bool = False

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read KIND[:NAME=VALUE[,NAME=VALUE…]].

        Raises:
            ValueError: it is not of that form; the text says why.

        >>> fault = Fault.parse("slow:seconds=2.5,times=3")
        >>> fault.kind, fault.seconds, fault.times
        (<Kind.SLOW: 'slow'>, 2.5, 3)
        """
        kind, _, rest = text.partition(":")
        values = dict(one.partition("=")[::2] for one in rest.split(",")) if rest else {}
        return cls.make({"kind": kind, **values})

    @classmethod
    def make(cls, values: Mapping[str, Any]) -> Fault:
        """A fault of names and values, as they come out of JSON or of a command line.

        Raises:
            ValueError: there is no such kind, name or value; the text says why.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"{values!r} is no fault; name its kind and what else it needs")
        if values.get("kind") not in list(Kind):
            raise ValueError(f"{values.get('kind')!r} is no fault; choose from {', '.join(Kind)}")
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"a fault has no {unknown[0]!r}; choose from {', '.join(known)}")
        given = {name: _read(name, value) for name, value in values.items() if value is not None}
        return cls(**given)

    def befalls(self, path: str, numbers: Sequence[str]) -> bool:
        """Whether it is meant for this request."""
        if not fnmatchcase(path, self.path or PATHS.get(self.kind, "*")):
            return False
        return self.number == "*" or any(fnmatchcase(one, self.number) for one in numbers)


class Faults:
    """The faults of one gateway, and how often each has struck. Safe between threads."""

    def __init__(self, faults: Iterable[Fault], seed: int | None = None) -> None:
        self._lock = Lock()
        self._dice = random.Random(seed)  # noqa: S311  nothing secret
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Forget the faults so far, and misbehave in these ways from now on."""
        with self._lock:
            self._faults = tuple(faults)
            self._met = [0] * len(self._faults)
            self._struck = [0] * len(self._faults)

    def strike(self, kind: Kind, path: str, numbers: Sequence[str] = ()) -> Fault | None:
        """The fault of this kind that befalls this request now, if any; counts it."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.kind is kind and fault.befalls(path, numbers) and self._is_due(index):
                    self._struck[index] += 1
                    return fault
        return None

    def listed(self) -> list[dict[str, Any]]:
        """Each fault with how often it has `struck`."""
        with self._lock:
            pairs = zip(self._faults, self._struck, strict=True)
            return [asdict(fault) | {"struck": struck} for fault, struck in pairs]

    def _is_due(self, index: int) -> bool:
        fault = self._faults[index]
        self._met[index] += 1
        if self._met[index] <= fault.after:
            return False
        if fault.times is not None and self._struck[index] >= fault.times:
            return False
        return self._dice.random() < fault.chance


def _read(name: str, value: Any) -> Any:
    """One value of a fault, whether it came as JSON or as text."""
    try:
        match name:
            case "kind":
                return Kind(value)
            case "times" | "after":
                return _at_least_nothing(int(value))
            case "seconds" | "chance":
                return _at_least_nothing(float(value))
            case "carry_out":
                return {"yes": True, "no": False, "true": True, "false": False}[str(value).lower()]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{value!r} is no value for {name!r} of a fault") from None
    return str(value)


def _at_least_nothing(amount: Any) -> Any:
    if not 0 <= amount < float("inf"):
        raise ValueError(amount)
    return amount
