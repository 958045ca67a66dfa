"""Typed settings, read once from the environment; wrong at start or never.

`load` is the only reader of the environment in the whole product. Every variable
is listed in `docs/configuration.md`, and a test holds that page equal to this class.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

MARGIN_SECONDS = 30
"""Chosen: what a worker may lose between its clock checks and PostgreSQL's clock."""

MICROSECONDS = 1_000_000

Seconds = Annotated[float, Field(gt=0)]


class SettingsError(Exception):
    """A setting is missing or wrong; the text names the variable and the way to mend it."""


class Settings(BaseModel):
    """Everything that differs from one installation to the next.

    Field names are the environment's, without the prefix `KADENCIA_` and in lower case;
    `database_url` and `redis_url` are also read without the prefix.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: SecretStr | None = None
    """postgresql://user:password@host:port/name; absent: `kadencia up` brings its own."""
    redis_url: SecretStr | None = None
    """redis://:password@host:port/0; absent: `kadencia up` brings its own."""
    data: Path | None = None
    """The data directory of the embedded servers."""
    keys: SecretStr | None = None
    """Fernet keys for credentials at rest, newest first, separated by commas."""
    keys_file: Path | None = None
    """The file with those keys, one a line; default: keys in the data directory."""

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    window_seconds: Seconds = 3600
    """The window in which a cadence is counted. Shortened only by tests."""
    burst_seconds: Seconds = 10
    """Chosen: how much of the cadence may leave at once after a pause."""
    quantum_seconds: Seconds = 3
    """Chosen: a busy task is swept this often, for as many slots as open meanwhile."""
    dot_by_seconds: Seconds = 60
    """No final dot is begun later than this after the claim began."""
    answer_timeout_seconds: Seconds = 600
    """How long the answer to the final dot is waited for (RFC 5321 section 4.5.3.2.6)."""
    sending_deadline_seconds: Seconds = 720
    """After this a message in state sending is taken for unknown."""
    recover_seconds: Seconds = 15
    """How often beat enqueues the pass over what time has overtaken."""
    released_deadline_seconds: Seconds = 40
    """After this a released message that no worker claimed is ready again. Chosen: it holds a
    connection of its account meanwhile, and with `recover_seconds` this is less than a minute."""

    heartbeat_seconds: Seconds = 5
    silent_after_seconds: Seconds = 30
    """A server without a heartbeat for this long is silent."""
    body_retention_days: Annotated[int, Field(ge=1)] = 30
    evidence_retention_days: Annotated[int, Field(ge=1)] = 730
    message_bytes: Annotated[int, Field(ge=1024)] = 25_000_000
    """The largest message that is taken in, with its attachments."""
    message_recipients: Annotated[int, Field(ge=1, le=100)] = 100
    """The most envelope recipients of one message: the smallest cadence must hold it."""

    alarm_command: str | None = None
    """A program that gets each new alarm as JSON on its standard input."""
    alarm_webhook: SecretStr | None = None
    """An address that gets each new alarm as a JSON POST."""

    server: str | None = None
    """The OAC server that this process belongs to; set by `kadencia worker`."""
    process: str | None = None
    """Which `kadencia worker` this process belongs to, a UUID; set by it."""
    crash_directory: Path | None = None
    """Tests only: who reaches a crash point and finds a file of its name here is killed."""

    @property
    def handover_max_seconds(self) -> float:
        """The longest from a claim to the last moment at which its dot may be answered."""
        return self.dot_by_seconds + self.answer_timeout_seconds

    @property
    def window_us(self) -> int:
        """The window in µs."""
        return round(self.window_seconds * MICROSECONDS)

    @property
    def burst_us(self) -> int:
        """The burst in µs."""
        return round(self.burst_seconds * MICROSECONDS)

    @property
    def quantum_us(self) -> int:
        """The quantum in µs."""
        return round(self.quantum_seconds * MICROSECONDS)

    @property
    def handover_max_us(self) -> int:
        """The longest hand-over in µs."""
        return round(self.handover_max_seconds * MICROSECONDS)

    @field_validator("log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _a_live_worker_never_loses_its_claim(self) -> Settings:
        # The margin shrinks with the times when tests shorten them.
        margin = min(MARGIN_SECONDS, 0.5 * self.handover_max_seconds)
        if self.sending_deadline_seconds < self.handover_max_seconds + margin:
            raise ValueError(
                f"KADENCIA_SENDING_DEADLINE_SECONDS is {self.sending_deadline_seconds:g}, but must "
                f"be at least {self.handover_max_seconds + margin:g}: KADENCIA_DOT_BY_SECONDS + "
                f"KADENCIA_ANSWER_TIMEOUT_SECONDS + {margin:g}"
            )
        if self.evidence_retention_days < self.body_retention_days:
            raise ValueError(
                "KADENCIA_EVIDENCE_RETENTION_DAYS must not be below KADENCIA_BODY_RETENTION_DAYS"
            )
        return self

    def require_database_url(self) -> str:
        """The database's address.

        Raises:
            SettingsError: it is not set.
        """
        return _required(self.database_url, "DATABASE_URL", "postgresql://user:password@host/name")

    def require_redis_url(self) -> str:
        """The broker's address.

        Raises:
            SettingsError: it is not set.
        """
        return _required(self.redis_url, "REDIS_URL", "redis://:password@host:6379/0")


def _required(secret: SecretStr | None, variable: str, example: str) -> str:
    if secret is None:
        raise SettingsError(
            f"{variable} is not set; give an address such as {example}, or run `kadencia up`, "
            f"which starts an embedded server and tells the other commands where it is"
        )
    return secret.get_secret_value()


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: naming every variable that is wrong, and what it must be.

    >>> load({"KADENCIA_DOT_BY_SECONDS": "30"}).handover_max_seconds
    630.0
    >>> load({"KADENCIA_LOG_FORMAT": "xml"})
    Traceback (most recent call last):
        ...
    settings.SettingsError: KADENCIA_LOG_FORMAT: Input should be 'text' or 'json'
    """
    values: dict[str, str] = {}
    for name in Settings.model_fields:
        for variable in (f"KADENCIA_{name.upper()}", name.upper() if name.endswith("_url") else ""):
            if environ.get(variable):
                values.setdefault(name, environ[variable])
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(one) for one in error.errors())) from None


def _explain(error: object) -> str:
    assert isinstance(error, dict)  # noqa: S101  pydantic's own shape
    where = "".join(f"KADENCIA_{str(part).upper()}: " for part in error["loc"][:1])
    return where + str(error["msg"]).removeprefix("Value error, ")
