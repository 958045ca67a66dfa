"""Where the database, Redis and the broker are, and how they are reached."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator, model_validator

from settings.addresses import RedisAddress, redis_address

BROKERS = ("amqp://", "amqps://")


class SettingsError(Exception):
    """A setting is missing or wrong; the text names the variable and the way to mend it."""


class Servers(BaseModel):
    """The part of the settings that says where servers are."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: SecretStr | None = None
    """postgresql://user:password@host:port/name; absent: `kadencia up` brings its own."""
    redis_url: SecretStr | None = None
    """redis://, rediss:// or redis+sentinel://; absent: `kadencia up` brings its own."""
    redis_ca_file: Path | None = None
    """Whose certificates Redis and Sentinels may show; absent: whom the system trusts."""
    redis_certificate_file: Path | None = None
    """Our own certificate, where Redis asks for one."""
    redis_key_file: Path | None = None
    """Its key; absent: in the same file."""
    sentinel_username: str | None = None
    """An ACL user of the Sentinels; absent: the default one."""
    sentinel_password: SecretStr | None = None
    """The Sentinels' own password; the one in the address is the servers'."""
    broker_url: SecretStr | None = None
    """amqp:// or amqps://: RabbitMQ carries the tasks; absent: Redis carries them too."""
    broker_ca_file: Path | None = None
    """Whose certificates RabbitMQ may show; absent: whom the system trusts."""
    broker_certificate_file: Path | None = None
    """Our own certificate, where RabbitMQ asks for one."""
    broker_key_file: Path | None = None
    """Its key; absent: in the same file."""
    database_direct_url: SecretStr | None = None
    """The database without a pooler, if `database_url` leads to PgBouncer in transaction mode."""
    signing_key_file: Path | None = None
    """With this RSA key every task is signed, and unsigned ones are refused; absent: none is."""
    signing_certificate_file: Path | None = None
    """The certificate of that key."""
    signing_trusted_directory: Path | None = None
    """Certificates (`*.pem`) of all whose tasks are taken; ours among them."""

    @field_validator("redis_url")
    @classmethod
    def _an_address_of_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            redis_address(value.get_secret_value())
        return value

    @field_validator("broker_url")
    @classmethod
    def _an_address_of_rabbitmq(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(BROKERS):
            raise ValueError(
                "it must begin as amqp://user:password@host:5672/vhost or amqps://…; "
                "without it Redis carries the tasks"
            )
        return value

    @model_validator(mode="after")
    def _signing_needs_all_three(self) -> Servers:
        names = [name for name in Servers.model_fields if name.startswith("signing_")]
        missing = [f"KADENCIA_{name.upper()}" for name in names if getattr(self, name) is None]
        if 0 < len(missing) < len(names):
            raise ValueError(f"to sign tasks, set {' and '.join(missing)} as well")
        return self

    @model_validator(mode="after")
    def _a_key_belongs_to_a_certificate(self) -> Servers:
        for name in ("redis", "broker"):
            certificate, key = f"{name}_certificate_file", f"{name}_key_file"
            if getattr(self, key) and not getattr(self, certificate):
                raise ValueError(
                    f"KADENCIA_{key.upper()} is set without KADENCIA_{certificate.upper()}; "
                    f"name both files, or one that holds both"
                )
        return self

    @property
    def redis(self) -> RedisAddress:
        """Where Redis is.

        Raises:
            SettingsError: it is not set.
        """
        return redis_address(self.require_redis_url())

    @property
    def by_sentinel(self) -> bool:
        """Whether Sentinels lead to Redis."""
        return self.redis_url is not None and bool(self.redis.master)

    @property
    def tasks_in_redis(self) -> bool:
        """Whether Redis carries the tasks, and not RabbitMQ."""
        return self.broker_url is None

    def require_database_url(self) -> str:
        """The database's address.

        Raises:
            SettingsError: it is not set.
        """
        return _required(self.database_url, "DATABASE_URL", "postgresql://user:password@host/name")

    @property
    def signed(self) -> bool:
        """Whether tasks are signed."""
        return self.signing_key_file is not None

    @property
    def pooled(self) -> bool:
        """Whether the database is reached through a pooler, which keeps no session."""
        return self.database_direct_url is not None

    def require_direct_url(self) -> str:
        """The database's address past a pooler, where there is one.

        Raises:
            SettingsError: it is not set.
        """
        if self.database_direct_url is not None:
            return self.database_direct_url.get_secret_value()
        return self.require_database_url()

    def require_redis_url(self) -> str:
        """The address of Redis.

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
