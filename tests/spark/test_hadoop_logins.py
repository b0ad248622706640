"""Logins out of Hadoop's settings, as S3A reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from prox_spark import hadoop_logins
from prox_spark.errors import ProxSparkError
from prox_spark.hadoop_logins import adopt_hadoop_logins, find_logins
from prox_spark.lake.spark_settings import spark_settings
from prox_spark.logins import S3Login, S3Role, adopt_logins
from prox_spark.places import find_filesystem

pytestmark = pytest.mark.spark

HADOOP = "org.apache.hadoop.fs.s3a"
PLACE = {"fs.s3a.endpoint": "http://store:9000", "fs.s3a.endpoint.region": "eu-west-3"}
KEYS = {"fs.s3a.access.key": "key-of-all", "fs.s3a.secret.key": "secret-of-all"}


def find(spark: Any, settings: Mapping[str, str], bucket: str = "mine") -> S3Login:
    with spark_settings(spark, settings):
        return find_logins(spark, [f"s3a://{bucket}/x", "/local", "gs://other/x"])[bucket]


def reveal(login: S3Login) -> tuple[str | None, ...]:
    keys = login.keys
    assert keys is not None
    return tuple(value.get_secret_value() if value else None for value in (keys.access, keys.secret, keys.token))


def test_keys_are_taken(spark: Any) -> None:
    login = find(spark, PLACE | KEYS)
    assert reveal(login) == ("key-of-all", "secret-of-all", None)
    assert login.source == "keys from the setting fs.s3a.access.key"


def test_keys_with_a_token_are_temporary_ones(spark: Any) -> None:
    login = find(spark, PLACE | KEYS | {"fs.s3a.session.token": "token-of-all"})
    assert reveal(login) == ("key-of-all", "secret-of-all", "token-of-all")


def test_the_providers_decide_whether_a_token_counts(spark: Any) -> None:
    simple = {"fs.s3a.session.token": "t", "fs.s3a.aws.credentials.provider": f"{HADOOP}.SimpleAWSCredentialsProvider"}
    assert reveal(find(spark, PLACE | KEYS | simple))[2] is None


def test_a_bucket_may_have_settings_of_its_own(spark: Any) -> None:
    own = {
        "fs.s3a.bucket.mine.access.key": "own-key",
        "fs.s3a.bucket.mine.secret.key": "own-secret",
        "fs.s3a.bucket.mine.endpoint": "https://own:1",
        "fs.s3a.bucket.mine.path.style.access": "true",
    }
    login = find(spark, PLACE | KEYS | own)
    assert reveal(login)[:2] == ("own-key", "own-secret")
    assert (login.scheme, login.endpoint, login.is_virtual) == ("https", "own:1", False)
    assert reveal(find(spark, PLACE | KEYS | own, "other"))[:2] == ("key-of-all", "secret-of-all")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"fs.s3a.endpoint": "store:9000"}, ("https", "store:9000", None)),
        ({"fs.s3a.endpoint": "store:9000", "fs.s3a.connection.ssl.enabled": "false"}, ("http", "store:9000", None)),
        ({"fs.s3a.endpoint": "http://store:9000/"}, ("http", "store:9000", None)),
        ({"fs.s3a.endpoint": "s3.eu-west-1.amazonaws.com"}, ("https", None, "eu-west-1")),
        ({"fs.s3a.endpoint": "s3.amazonaws.com", "fs.s3a.endpoint.region": "us-west-2"}, ("https", None, "us-west-2")),
        ({"fs.s3a.endpoint": "s3.cn-north-1.amazonaws.com.cn"}, ("https", None, "cn-north-1")),
        ({"fs.s3a.endpoint": "s3-accelerate.amazonaws.com"}, ("https", "s3-accelerate.amazonaws.com", None)),
    ],
)
def test_an_endpoint_counts_without_keys(
    spark: Any, settings: dict[str, str], expected: tuple[str | None, ...]
) -> None:
    login = find(spark, settings)
    assert login.is_of_host and (login.scheme, login.endpoint, login.region) == expected


def test_settings_that_say_nothing_leave_a_bucket_to_the_chain_of_aws(spark: Any) -> None:
    assert adopt_hadoop_logins(spark, ["s3://nobodys/x"]) == {}


def test_anonymous_access_is_taken(spark: Any) -> None:
    login = find(spark, PLACE | {"fs.s3a.aws.credentials.provider": f"{HADOOP}.AnonymousAWSCredentialsProvider"})
    assert login.is_anonymous and not login.find_secrets()


@pytest.mark.parametrize(
    "provider",
    [
        "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider",
        "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
        "com.amazonaws.auth.WebIdentityTokenCredentialsProvider",
        f"{HADOOP}.auth.IAMInstanceCredentialsProvider",
    ],
)
def test_no_keys_travel_where_each_host_finds_its_own(spark: Any, provider: str) -> None:
    login = find(spark, PLACE | KEYS | {"fs.s3a.aws.credentials.provider": provider})
    assert login.is_of_host and login.find_secrets() == []


@pytest.mark.parametrize(
    "settings",
    [
        {
            "fs.s3a.aws.credentials.provider": f"{HADOOP}.auth.IAMInstanceCredentialsProvider, {HADOOP}.SimpleAWSCredentialsProvider"
        },
        {
            "fs.s3a.aws.credentials.provider": f"{HADOOP}.auth.AssumedRoleCredentialProvider",
            "fs.s3a.assumed.role.credentials.provider": f"{HADOOP}.auth.IAMInstanceCredentialsProvider",
            "fs.s3a.assumed.role.sts.endpoint": "sts.eu-west-3.amazonaws.com",
        },
        {"fs.s3a.aws.credentials.provider": "my.vault.DefaultCredentialsProvider"},
        {
            "fs.s3a.aws.credentials.provider": "software.amazon.awssdk.auth.credentials.SystemPropertyCredentialsProvider"
        },
    ],
    ids=["host before keys", "another token service", "a name like one of AWS", "properties of the JVM"],
)
def test_hadoop_is_asked_where_arrow_could_take_other_credentials(
    spark: Any, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = S3Login("what Hadoop gave")
    monkeypatch.setattr(hadoop_logins._HadoopSettings, "_ask_hadoop", lambda self, names: asked)
    assert find(spark, PLACE | KEYS | settings).source == asked.source


def test_a_role_on_top_of_the_hosts_credentials_is_assumed_by_each_host(spark: Any) -> None:
    settings = {
        "fs.s3a.aws.credentials.provider": f"{HADOOP}.auth.AssumedRoleCredentialProvider",
        "fs.s3a.assumed.role.arn": "arn:aws:iam::1:role/reader",
        "fs.s3a.assumed.role.session.name": "prox",
        "fs.s3a.assumed.role.credentials.provider": f"{HADOOP}.auth.IAMInstanceCredentialsProvider",
    }
    assert find(spark, PLACE | settings).role == S3Role("arn:aws:iam::1:role/reader", "prox")


def test_a_role_without_a_name_is_an_error_that_says_which_setting_is_missing(spark: Any) -> None:
    settings = {
        "fs.s3a.aws.credentials.provider": f"{HADOOP}.auth.AssumedRoleCredentialProvider",
        "fs.s3a.assumed.role.credentials.provider": f"{HADOOP}.auth.IAMInstanceCredentialsProvider",
    }
    with pytest.raises(ProxSparkError, match=r"bucket mine, and fs\.s3a\.assumed\.role\.arn names none: set it"):
        find(spark, PLACE | settings)


def test_secrets_in_a_credential_store_of_hadoop_are_taken(spark: Any, tmp_path: Path) -> None:
    place = f"localjceks://file{tmp_path}/secrets.jceks"
    with spark_settings(spark, {"hadoop.security.credential.provider.path": place}):
        settings = spark._jsparkSession.sessionState().newHadoopConf()
        java = spark._jvm
        store = java.org.apache.hadoop.security.alias.CredentialProviderFactory.getProviders(settings).get(0)
        for name, value in {"fs.s3a.access.key": "kept-key", "fs.s3a.bucket.mine.secret.key": "kept-secret"}.items():
            letters = spark.sparkContext._gateway.new_array(java.char, len(value))
            for place_of, letter in enumerate(value):
                letters[place_of] = letter
            store.createCredentialEntry(name, letters)
        store.flush()
        login = find(spark, PLACE)
    assert reveal(login) == ("kept-key", "kept-secret", None)
    assert login.source.startswith("keys from a Hadoop credential store")


def test_a_proxy_is_taken_with_its_password(spark: Any) -> None:
    settings = {"fs.s3a.proxy.host": "p", "fs.s3a.proxy.port": "3128", "fs.s3a.proxy.username": "u"}
    login = find(spark, PLACE | settings | {"fs.s3a.proxy.password": "pw"})
    assert login.proxy is not None and login.proxy.get_secret_value() == "http://u:pw@p:3128"


def test_a_password_of_a_proxy_may_have_any_characters(spark: Any) -> None:
    settings = {"fs.s3a.proxy.host": "p", "fs.s3a.proxy.port": "3128", "fs.s3a.proxy.username": "u"}
    login = find(spark, PLACE | KEYS | settings | {"fs.s3a.proxy.password": "p@ss/w:1#"})
    adopt_logins({"mine": login})
    try:
        _, options = find_filesystem("s3://mine/x")[0].__reduce__()
    finally:
        adopt_logins({"mine": None})
    proxy = options[0]["proxy_options"]
    assert (proxy["host"], proxy["username"], proxy["password"]) == ("p", "u", "p@ss/w:1#")


def test_a_class_that_is_not_there_is_named(spark: Any) -> None:
    with pytest.raises(ProxSparkError, match=r"Hadoop gives no credentials for the bucket mine .* = my\.own\.Provider"):
        find(spark, PLACE | {"fs.s3a.aws.credentials.provider": "my.own.Provider"})
