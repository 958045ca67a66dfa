"""Trying many things at the far side at once, with the patience of a person who waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

PATIENCE_SECONDS = 20.0
"""Chosen: longer than that, no person waits for a doctor."""

AT_ONCE = 8

Key = TypeVar("Key")
Found = TypeVar("Found")


def all_at_once(
    tries: Mapping[Key, Callable[[], Found]],
) -> Iterator[tuple[Key, Found | BaseException]]:
    """Try all of them, and give each one's result, or why there is none, in their order."""
    pool = ThreadPoolExecutor(max_workers=AT_ONCE)
    begun = {key: pool.submit(attempt) for key, attempt in tries.items()}
    wait(begun.values(), timeout=PATIENCE_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)
    for key, one in begun.items():
        if not one.done() or one.cancelled():
            yield key, TimeoutError(f"no answer within {PATIENCE_SECONDS:g} s")
        else:
            error = one.exception()
            yield key, one.result() if error is None else error
