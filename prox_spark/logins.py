"""Logins of object stores for Arrow: what Hadoop has for a bucket, carried from the driver to Python workers."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pyarrow.fs as pafs
from pydantic import SecretStr

from prox_spark.errors import InputError, RecipeError

S3_SCHEMES: Final = ("s3", "s3a", "s3n")
# For people: where each host finds credentials if nothing else is said.
AWS_CHAIN: Final = "AWS's own chain: AWS_* variables, profile, web identity or instance role"
_HIDDEN: Final = "*** redacted ***"
# A shorter text is no secret of AWS, and would be hidden wherever it stands by chance.
_LEAST_SECRET: Final = 8


@dataclass(frozen=True)
class S3Keys:
    """Keys of S3. Their repr shows none of them, and neither do logs of what holds them.

    Attributes:
        access: access key id.
        secret: secret access key.
        token: session token; None for keys that last.
        expires_at: end of their time, in seconds since 1970; None if they last or nobody knows.
    """

    access: SecretStr
    secret: SecretStr
    token: SecretStr | None = None
    expires_at: float | None = None


@dataclass(frozen=True)
class S3Role:
    """A role that Arrow assumes, and assumes again before its time is over."""

    arn: str
    session_name: str
    external_id: SecretStr | None = None


@dataclass(frozen=True)
class S3Login:
    """The way to the buckets of S3 that Hadoop's settings describe.

    Attributes:
        source: where the credentials come from, for people; no part of them.
        keys: explicit keys.
        role: a role to assume with the credentials of the host.
        is_anonymous: no credentials are sent. Without any of these three, AWS's own chain finds credentials on each host.
        endpoint: host and port in place of AWS's.
        scheme: http or https.
        region: None for that of the environment.
        is_virtual: the bucket is part of the host's name. It matters with an endpoint only.
        proxy: URI of a proxy.
    """

    source: str
    keys: S3Keys | None = None
    role: S3Role | None = None
    is_anonymous: bool = False
    endpoint: str | None = None
    scheme: str = "https"
    region: str | None = None
    is_virtual: bool = True
    proxy: SecretStr | None = None

    @property
    def is_of_host(self) -> bool:
        """True if the credentials are those that AWS's own chain finds on each host."""
        return not (self.keys or self.role or self.is_anonymous)

    def find_secrets(self) -> list[str]:
        """Return all texts that nobody may see."""
        keys, role = self.keys, self.role
        held = (keys and keys.access, keys and keys.secret, keys and keys.token, role and role.external_id, self.proxy)
        return [secret.get_secret_value() for secret in held if secret]


# By bucket. A module's variable, because the readers' threads look here, too. Workers get it with the reader's function.
_logins: dict[str, S3Login] = {}


def refuse_keys(bucket: str) -> None:
    """Raise an error if a bucket out of a path comes with keys, as in s3://KEY:SECRET@bucket. Tables and messages hold paths.

    Raises:
        RecipeError: it does. The message does not show them.
    """
    if re.search("[:@]", bucket) and not bucket.startswith("arn:"):
        raise RecipeError(
            "a path holds keys of S3 (s3://KEY:SECRET@BUCKET), which tables and messages would show: write it without them, and give them to "
            "Hadoop as spark.hadoop.fs.s3a.access.key and spark.hadoop.fs.s3a.secret.key, or as AWS_* variables"
        )


def adopt_logins(logins: Mapping[str, S3Login | None]) -> None:
    """Use these logins in this process from now on, each for the bucket that it is listed by; with None AWS's own chain."""
    for bucket, login in logins.items():
        if login:
            _logins[bucket] = login
        else:
            _logins.pop(bucket, None)


def replace_logins(logins: Mapping[str, S3Login]) -> None:
    """Use these logins in this process and no others: a Python worker has served other jobs before."""
    _logins.clear()
    _logins.update(logins)


def current_logins() -> dict[str, S3Login]:
    """Return the logins of this process, to be carried to workers."""
    return dict(_logins)


def open_store(bucket: str) -> Any:
    """Return the Arrow file system for a bucket of S3; None if nothing is known of it.

    Raises:
        InputError: the time of its keys is over.
    """
    login = _logins.get(bucket)
    if login is None:
        return None
    if login.keys and login.keys.expires_at and login.keys.expires_at < time.time():
        raise InputError(
            f"the credentials for the bucket {bucket} ({login.source}) have expired: they were taken when the run started. Start it "
            "again; where it takes longer than they last, give them more time (fs.s3a.assumed.role.session.duration), or let each "
            "host find its own (fs.s3a.aws.credentials.provider=software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider)"
        )
    return _open(login)


def hide_secrets(text: str) -> str:
    """Return a text without the secrets of this process's logins."""
    for login in _logins.values():
        for secret in login.find_secrets():
            if len(secret) >= _LEAST_SECRET:
                text = text.replace(secret, _HIDDEN)
    return text


@lru_cache(maxsize=16)
def _open(login: S3Login) -> Any:
    # One for all files: each has connections of its own.
    options: dict[str, Any] = {"region": login.region}
    if login.keys:
        options |= {"access_key": _reveal(login.keys.access), "secret_key": _reveal(login.keys.secret)}
        options |= {"session_token": _reveal(login.keys.token)}
    if login.role:
        options |= {"role_arn": login.role.arn, "session_name": login.role.session_name}
        options |= {"external_id": _reveal(login.role.external_id)}
    if login.endpoint:
        options |= {"endpoint_override": login.endpoint, "force_virtual_addressing": login.is_virtual}
    return pafs.S3FileSystem(
        **options, anonymous=login.is_anonymous, scheme=login.scheme, proxy_options=_reveal(login.proxy)
    )


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
