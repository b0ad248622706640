"""What Hadoop's settings say about buckets of S3, as logins for Arrow: one login serves the lake and the inputs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pyarrow.fs as pafs
from pydantic import SecretStr

from prox_spark.errors import ProxSparkError, root_cause
from prox_spark.logins import AWS_CHAIN, S3_SCHEMES, S3Keys, S3Login, S3Role, adopt_logins, refuse_keys
from prox_spark.places import split_bucket
from prox_spark.spark_driver import is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PREFIX: Final = "fs.s3a."
_STORES: Final = "hadoop.security.credential.provider.path"
_PROVIDERS: Final = "aws.credentials.provider"
# AWS's own classes, of both versions of its library, and Hadoop's. Others may have names that end in the same way.
_PACKAGES: Final = ("software.amazon.awssdk.", "com.amazonaws.auth.", "org.apache.hadoop.fs.s3a.")
# Last parts of the names of their classes that find on each host what Arrow finds there, too.
_OF_HOST: Final = re.compile(
    r"(?:Environment\w*|Default\w*|EC2\w*|IAM\w*|(?:Shared)?Instance\w*|Container\w*|Profile(?!AWS)\w*|WebIdentity\w*)"
    r"Credentials?Provider(?:Chain|Wrapper)?"
)
_ROLE: Final = "AssumedRoleCredentialProvider"
# Endpoints of AWS that a region says as well. Others, such as s3-accelerate, are used as they are.
_OF_AWS: Final = re.compile(r"s3(?:[.-]([a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?:\.cn)?")
# Variables by which Arrow finds another endpoint than AWS's itself.
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def adopt_hadoop_logins(spark: SparkSession, paths: Iterable[str]) -> dict[str, S3Login]:
    """Have Arrow reach the buckets of these paths as Hadoop does, in this process and in the workers of its readers.

    Args:
        spark: the session. One of Spark Connect has no settings of Hadoop here: there AWS's own chain finds credentials.
        paths: of any kind; those on S3 count.

    Returns:
        What is used now, by bucket. Nothing is used for a bucket of which Hadoop's settings say nothing.

    Raises:
        ProxSparkError: Hadoop's settings name credentials that can't be had. The message says which.
    """
    found = find_logins(spark, paths)
    used = {bucket: None if _says_nothing(login) else login for bucket, login in found.items()}
    adopt_logins(used)
    return {bucket: login for bucket, login in used.items() if login}


def find_logins(spark: SparkSession, paths: Iterable[str]) -> dict[str, S3Login]:
    """Return what Hadoop's settings say about the buckets of these paths, by bucket.

    Raises:
        ProxSparkError: as `adopt_hadoop_logins`.
    """
    buckets = {bucket for path in paths if (bucket := find_bucket(path))}
    if not buckets or is_connect(spark):
        return {}
    settings = spark._jsparkSession.sessionState().newHadoopConf()
    return {bucket: _HadoopSettings(spark, settings, bucket).make_login() for bucket in sorted(buckets)}


def find_bucket(path: str) -> str | None:
    """Return the bucket of a path on S3; None for any other path.

    Raises:
        RecipeError: the path holds keys.
    """
    scheme, bucket = split_bucket(path)
    if scheme not in S3_SCHEMES:
        return None
    refuse_keys(bucket)
    return bucket


def _says_nothing(login: S3Login) -> bool:
    return login.is_of_host and not (login.endpoint or login.region or login.proxy)


class _HadoopSettings:
    """Hadoop's settings as they are for one bucket."""

    def __init__(self, spark: SparkSession, settings: Any, bucket: str) -> None:
        self._jvm = spark._jvm
        self._bucket = bucket
        self._settings = self._jvm.org.apache.hadoop.conf.Configuration(settings)
        own: Mapping[str, str] = settings.getPropsWithPrefix(f"{_PREFIX}bucket.{bucket}.")
        for name, value in own.items():
            if not name.startswith(("bucket.", "impl")):
                self._settings.set(_PREFIX + name, value)
        if stores := self.get("security.credential.provider.path"):
            self._settings.set(_STORES, ",".join(filter(None, (stores, self._settings.get(_STORES)))))

    def get(self, name: str, default: str = "") -> str:
        return str(self._settings.getTrimmed(_PREFIX + name, default))

    def is_on(self, name: str, default: bool) -> bool:
        return bool(self._settings.getBoolean(_PREFIX + name, default))

    def make_login(self) -> S3Login:
        login = replace(self._find_credentials(), proxy=self._find_proxy(), **self._find_place())
        if login.is_of_host or login.region or login.endpoint or any(map(os.environ.get, _ENDPOINTS)):
            return login
        # Explicit credentials need the region of the bucket, which AWS tells anyone.
        try:
            return replace(login, region=pafs.resolve_s3_region(self._bucket))
        except (OSError, ValueError):
            return login

    def _find_place(self) -> dict[str, Any]:
        endpoint, region = self.get("endpoint"), self.get("endpoint.region") or None
        scheme = "https" if self.is_on("connection.ssl.enabled", True) else "http"
        if "://" in endpoint:
            scheme, _, endpoint = endpoint.partition("://")
        endpoint = endpoint.rstrip("/")
        if of_aws := _OF_AWS.fullmatch(endpoint):
            endpoint, region = "", region or of_aws[1]
        is_virtual = not self.is_on("path.style.access", False)
        return {"endpoint": endpoint or None, "scheme": scheme, "region": region, "is_virtual": is_virtual}

    def _find_credentials(self) -> S3Login:
        """Return the login of the first provider that has one, as S3A asks them in their order."""
        names = self._list_classes(_PROVIDERS)
        is_after_host = False
        for name in names:
            kind = _find_kind(name)
            if kind in ("AnonymousAWSCredentialsProvider", "AnonymousCredentialsProvider", "AnonymousAWSCredentials"):
                return S3Login("anonymous", is_anonymous=True)
            if kind in ("TemporaryAWSCredentialsProvider", "SimpleAWSCredentialsProvider"):
                if login := self._take_keys(with_token=kind.startswith("Temporary")):
                    # Only Hadoop can tell whether the host has any, which come first then.
                    return self._ask_hadoop(names) if is_after_host else login
            elif kind == _ROLE and self._has_base_of_host():
                role = self._make_role()
                return S3Login(f"role {role.arn}", role=role)
            elif not _OF_HOST.fullmatch(kind):
                return self._ask_hadoop(names)
            else:
                is_after_host = True
        return S3Login(AWS_CHAIN)

    def _take_keys(self, with_token: bool) -> S3Login | None:
        access, secret = self.find_secret("access.key"), self.find_secret("secret.key")
        token = self.find_secret("session.token") if with_token else None
        if not (access and secret) or (with_token and not token):
            return None
        kind = "temporary keys" if with_token else "keys"
        return S3Login(f"{kind} from {self._describe_source('access.key')}", keys=S3Keys(access, secret, token))

    def find_secret(self, name: str) -> SecretStr | None:
        """Return a secret of the settings or of a credential store; None if there is none."""
        for key in (f"{_PREFIX}bucket.{self._bucket}.{name}", _PREFIX + name):
            try:
                value = self._settings.getPassword(key)
            except Exception as error:  # An error of Java.
                raise ProxSparkError(
                    f"Hadoop can't read {key} from its credential stores ({self._settings.get(_STORES)}): {root_cause(error)}"
                ) from None  # Its trace could show what it read.
            if value is not None and (text := str(self._jvm.java.lang.String(value)).strip()):
                return SecretStr(text)
        return None

    def _describe_source(self, name: str) -> str:
        """Return where a setting stands, for people."""
        for key in (f"{_PREFIX}bucket.{self._bucket}.{name}", _PREFIX + name):
            if self._settings.getRaw(key) is not None:
                sources = [str(source) for source in self._settings.getPropertySources(key) or ()]
                variable = next((word for source in sources for word in source.split() if word.startswith("AWS_")), "")
                return f"{variable} of the driver" if variable else f"the setting {key}"
        return f"a Hadoop credential store ({self._settings.get(_STORES)})"

    def _has_base_of_host(self) -> bool:
        """Return True if AWS's token service is asked for the role with the host's own credentials, as Arrow can do as well."""
        base = self._list_classes("assumed.role.credentials.provider")
        is_of_host = bool(base) and all(_OF_HOST.fullmatch(_find_kind(name)) for name in base)
        return is_of_host and not (self.get("assumed.role.policy") or self.get("assumed.role.sts.endpoint"))

    def _list_classes(self, name: str) -> list[str]:
        return [str(found) for found in self._settings.getTrimmedStrings(_PREFIX + name)]

    def _make_role(self) -> S3Role:
        arn = self.get("assumed.role.arn")
        if not arn:
            raise ProxSparkError(
                f"{_PREFIX}{_PROVIDERS} asks for a role for the bucket {self._bucket}, and {_PREFIX}assumed.role.arn names none: set it"
            )
        return S3Role(
            arn,
            self.get("assumed.role.session.name"),
            self.find_secret("assumed.role.external.id"),
        )

    def _ask_hadoop(self, names: list[str]) -> S3Login:
        """Return the keys that Hadoop's own classes make now. They are those of the driver, and may expire."""
        java = self._jvm
        try:
            make = java.org.apache.hadoop.fs.s3a.auth.CredentialProviderListFactory.createAWSCredentialProviderList
            providers = make(java.java.net.URI(f"s3a://{self._bucket}"), self._settings)
            made = providers.resolveCredentials()
        except Exception as error:
            raise ProxSparkError(
                f"Hadoop gives no credentials for the bucket {self._bucket} (fs.s3a.aws.credentials.provider = {', '.join(names)}): "
                f"{_explain(error)}"
            ) from None
        source = " or ".join(name.rpartition(".")[2] for name in names)
        has_token = hasattr(made, "sessionToken") and made.getClass().getSimpleName() == "AwsSessionCredentials"
        end = made.expirationTime().orElse(None) if has_token else None
        keys = S3Keys(
            SecretStr(made.accessKeyId()),
            SecretStr(made.secretAccessKey()),
            SecretStr(made.sessionToken()) if has_token else None,
            float(end.getEpochSecond()) if end is not None else None,
        )
        return S3Login(f"what {source} gave at the start", keys=keys)

    def _find_proxy(self) -> SecretStr | None:
        host = self.get("proxy.host")
        if not host:
            return None
        scheme = "https" if self.is_on("proxy.ssl.enabled", False) else "http"
        port = self.get("proxy.port") or ("443" if self.is_on("connection.ssl.enabled", True) else "80")
        user, password = self.get("proxy.username"), self.find_secret("proxy.password")
        words = (user, password.get_secret_value() if password else "")
        # An unquoted `@` or `/` would send a part of the password to a host of that name.
        login = ":".join(quote(word, safe="") for word in words) + "@" if user else ""
        return SecretStr(f"{scheme}://{login}{host}:{port}")


def _find_kind(name: str) -> str:
    """Return the last part of the name of a class of AWS's or Hadoop's; empty for a class of others."""
    return name.rpartition(".")[2] if name.startswith(_PACKAGES) else ""


def _explain(error: Exception) -> str:
    """Return the cause of an error of the JVM in a line. A class that is not there is a package to py4j."""
    if isinstance(error, TypeError):
        return "the class path has no hadoop-aws of version 3.4 or later"
    java = getattr(error, "java_exception", None)
    kind = f"{java.getClass().getSimpleName()}: " if java is not None else ""
    return f"{kind}{root_cause(error)}"
