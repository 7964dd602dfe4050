"""Every error that Overflight raises on purpose, in one family.

Each says what happened, where, and what to do, and carries the exit code the command line ends with::

    OverflightError                         1
    ├── UsageError                          2   an argument or setting that cannot be used
    ├── InputError                          3   photographs, labels or files that cannot be used as they are
    ├── NotFoundError                       4   a name that does not exist
    ├── RefusedError                        5   not allowed: a role, an approval, a gate
    ├── AccountError                        6   the AWS account cannot be used (profile, credentials, region)
    ├── ResourceError                       7   the machine lacks something (disk, port, memory)
    ├── StoreError                          8   the local account's files cannot be read
    ├── JobError                            9   a job, pipeline or endpoint failed
    └── NotImplementedInLocalAccountError  10   an AWS operation the local account does not answer

It knows nothing of AWS, HTTP or the terminal.
"""

from __future__ import annotations


class OverflightError(Exception):
    """Base of the family.

    Args:
        what: One sentence: what is wrong.
        where: The file, line, name or address it concerns, if there is one.
        cure: What the reader can do about it, if anything is known.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.cure = cure

    def __str__(self) -> str:
        """``where: what. Cure.`` on one line; a list of problems has one line for each and the cure on the last."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        if head.endswith("\n"):
            return f"{head}{self.cure}"
        return f"{head.rstrip('.')}. {self.cure}" if self.cure else head


class UsageError(OverflightError):
    """An argument or setting that cannot be used."""

    exit_code = 2


class InputError(OverflightError):
    """Photographs, labels or files that cannot be used as they are."""

    exit_code = 3


class NotFoundError(OverflightError):
    """A name that does not exist."""

    exit_code = 4


class RefusedError(OverflightError):
    """Not allowed: a role, an approval or a gate says no."""

    exit_code = 5


class AccountError(OverflightError):
    """The AWS account cannot be used: profile, credentials, region or account number."""

    exit_code = 6


class ResourceError(OverflightError):
    """The machine lacks something: disk, a free port, memory."""

    exit_code = 7


class StoreError(OverflightError):
    """The local account's files cannot be read or are not what they should be."""

    exit_code = 8


class JobError(OverflightError):
    """A job, a pipeline execution or an endpoint failed."""

    exit_code = 9


class NotImplementedInLocalAccountError(OverflightError):
    """An AWS operation that the local account does not answer."""

    exit_code = 10

    def __init__(self, service: str, operation: str) -> None:
        super().__init__(
            f"NotImplementedInLocalAccount: {service}:{operation}",
            cure="The local account answers only what Overflight uses; use OVERFLIGHT_PLATFORM=aws for the rest",
        )
        self.service = service
        self.operation = operation
