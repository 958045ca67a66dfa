"""Typed settings, read once from the environment; wrong at start or never.

`load` is the only reader of the environment in the whole product. Every variable
is listed in `docs/configuration.md`, and a test holds that page equal to this class.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from settings.files import SUFFIX, with_files
from settings.servers import Servers
from settings.servers import SettingsError as SettingsError

MARGIN_SECONDS = 30
"""Chosen: what a worker may lose between its clock checks and PostgreSQL's clock."""

MICROSECONDS = 1_000_000

Seconds = Annotated[float, Field(gt=0)]


UNPREFIXED = ("database_url", "redis_url")
"""What is read without `KADENCIA_` too, as other programs call it."""


class Settings(Servers):
    """Everything that differs from one installation to the next.

    Field names are the environment's, without the prefix `KADENCIA_` and in lower case;
    those in `UNPREFIXED` are also read without the prefix.
    """

    data: Path | None = None
    """The data directory of the embedded servers."""
    keys: SecretStr | None = None
    """Fernet keys for credentials at rest, newest first, separated by commas."""
    keys_file: Path | None = None
    """The file with those keys, one a line; default: keys in the data directory."""

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_addresses: bool = False
    """Whether the log shows recipients' addresses and numbers, as far as servers repeat them."""
    metrics_host: str = "127.0.0.1"
    """The address at which `kadencia worker` serves its processes' metrics."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """The port of these; 0 takes a free one; absent: nothing is measured."""
    otlp_endpoint: str | None = None
    """An OpenTelemetry collector, as in http://127.0.0.1:4318; absent: no traces are made."""

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
    webhook_allow: str | None = None
    """Networks within which webhooks may lead, by http too and to any port; with commas."""
    webhook_ca_file: Path | None = None
    """PEM file of the authorities that webhooks' servers are checked by, in place of the usual."""
    webhook_disable_days: Annotated[int, Field(ge=1)] = 5
    """A webhook that has failed for so long is disabled."""
    webhook_retention_days: Annotated[int, Field(ge=1)] = 30
    """What was told to webhooks is kept for so long, and can be told again."""
    alive_file: Path | None = None
    """A file whose time a worker or beat renews while it does its work: what a probe looks at."""
    flower_password: Annotated[SecretStr, Field(min_length=12)] | None = None
    """What the user kadencia shows Flower; `kadencia up` makes one."""

    api_requests_minute: Annotated[int, Field(ge=1)] = 1200
    """Requests of one token of the HTTP API in a minute."""
    api_messages_minute: Annotated[int, Field(ge=1)] = 60_000
    """Messages that one token may hand in in a minute."""
    api_failures_minute: Annotated[int, Field(ge=1)] = 30
    """Log-ins that may fail in a minute from one address."""
    api_proxies: str = "127.0.0.1,::1"
    """Reverse proxies whose word is taken on where a request comes from: addresses or networks."""
    api_threads: Annotated[int, Field(ge=2, le=100)] = 16
    """Chosen: requests that one process of the API works on at once, a connection each."""

    server: str | None = None
    """The OAC server that this process belongs to; set by `kadencia worker`."""
    process: str | None = None
    """Which `kadencia worker` this process belongs to, a UUID; set by it."""
    metrics_directory: Path | None = None
    """Where the processes of a `kadencia worker` keep what they measure; set by it."""
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

    @field_validator("otlp_endpoint")
    @classmethod
    def _an_address_of_a_collector(cls, value: str | None) -> str | None:
        if value is not None and (not value.startswith(("http://", "https://")) or "@" in value):
            raise ValueError(
                "it must begin as http://host:4318 or https://host:4318, without a user; "
                "OTEL_EXPORTER_OTLP_HEADERS holds what the collector wants to see"
            )
        return value

    @field_validator("log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("webhook_allow")
    @classmethod
    def _networks(cls, value: str | None) -> str | None:
        for one in (value or "").split(","):
            if one.strip():
                ip_network(one.strip())
        return value

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


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: naming every variable that is wrong, and what it must be.

    >>> load({"KADENCIA_DOT_BY_SECONDS": "30"}).handover_max_seconds
    630.0
    >>> load({"KADENCIA_LOG_FORMAT": "xml"})
    Traceback (most recent call last):
        ...
    settings.servers.SettingsError: KADENCIA_LOG_FORMAT: Input should be 'text' or 'json'
    """
    values: dict[str, str] = {}
    environ = with_files(environ, _secrets())
    for name in Settings.model_fields:
        for variable in _variables(name):
            if environ.get(variable):
                values.setdefault(name, environ[variable])
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(one) for one in error.errors())) from None


def _variables(field: str) -> tuple[str, ...]:
    """What a setting is called in the environment; the first goes before."""
    prefixed = f"KADENCIA_{field.upper()}"
    return (prefixed, field.upper()) if field in UNPREFIXED else (prefixed,)


def _secrets() -> list[str]:
    """The variables that hold secrets; `KADENCIA_KEYS_FILE` is a setting of its own."""
    return [
        variable
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation) and f"{name}_file" not in Settings.model_fields
        for variable in _variables(name)
    ]


def known_variables() -> set[str]:
    """The names of all variables that are read."""
    named = {variable for name in Settings.model_fields for variable in _variables(name)}
    return named | {f"{secret}{SUFFIX}" for secret in _secrets()}


def _explain(error: object) -> str:
    assert isinstance(error, dict)  # noqa: S101  pydantic's own shape
    where = "".join(f"KADENCIA_{str(part).upper()}: " for part in error["loc"][:1])
    return where + str(error["msg"]).removeprefix("Value error, ")
