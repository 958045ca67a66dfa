"""The registers: companies, users, servers, accounts, automatic tasks, and what may be sent.

Each function works in the caller's transaction and writes what it changed to the audit log.
Rules are refused here with words; the database's constraints are the net under them.
"""

from __future__ import annotations


class RegisterError(ValueError):
    """What was asked for breaks a rule, or names something that is not there.

    Attributes:
        what: what is wrong, in words.
        mend: what a person is to do instead.
    """

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what, mend)  # both, or unpickling fails
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}"
