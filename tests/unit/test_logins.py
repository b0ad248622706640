"""Logins for object stores: they reach workers, and nobody sees them."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import cloudpickle
import pytest
from pydantic import SecretStr

from prox_spark import logins
from prox_spark.errors import InputError, RecipeError
from prox_spark.hadoop_logins import find_bucket
from prox_spark.logins import S3Keys, S3Login, S3Role, adopt_logins, current_logins, hide_secrets, replace_logins
from prox_spark.places import describe_login, find_filesystem

pytestmark = pytest.mark.unit

SECRETS = (
    "AKIAVISIBLEKEY",
    "very/visible+secret",
    "visible-session-token",
    "visible-external-id",
    "http://u:visiblepw@p:1",
)
KEYS = S3Keys(*map(SecretStr, SECRETS[:3]))
LOGIN = S3Login(
    "keys from a test",
    keys=KEYS,
    role=S3Role("arn:aws:iam::1:role/r", "s", SecretStr(SECRETS[3])),
    endpoint="localhost:1",
    proxy=SecretStr(SECRETS[4]),
)


@pytest.fixture(autouse=True)
def _no_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "_logins", {})


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda login: repr({"bucket": [login]})])
def test_no_way_to_print_a_login_shows_a_secret(show: object) -> None:
    shown = show(LOGIN)  # type: ignore[operator]
    assert [text for text in SECRETS if text in shown] == []


def test_a_trace_with_local_variables_shows_no_secret() -> None:
    def fail(login: S3Login) -> None:
        raise ValueError(f"can't use {login}")

    try:
        fail(LOGIN)
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert [text for text in SECRETS if text in shown] == [] and "keys from a test" in shown


def test_a_login_travels_inside_a_function() -> None:
    def read() -> S3Login:
        return LOGIN

    carried = pickle.loads(cloudpickle.dumps(read))()
    assert carried == LOGIN and carried.find_secrets() == LOGIN.find_secrets() == list(SECRETS)


def test_each_bucket_has_its_own_login() -> None:
    adopt_logins({"mine": S3Login("one", is_anonymous=True, endpoint="localhost:1", region="us-east-1")})
    adopt_logins({"yours": S3Login("two", is_anonymous=True, endpoint="localhost:2", region="us-east-1")})
    assert {bucket: login.source for bucket, login in current_logins().items()} == {"mine": "one", "yours": "two"}


@pytest.mark.parametrize("how", [adopt_logins, replace_logins])
def test_a_login_that_is_gone_is_used_no_more(how: Any) -> None:
    adopt_logins({"mine": LOGIN})
    how({"mine": None} if how is adopt_logins else {})
    assert current_logins() == {}


@pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n"])
def test_a_path_is_opened_by_the_login_of_its_bucket(scheme: str) -> None:
    adopt_logins({"mine": S3Login("one", is_anonymous=True, endpoint="localhost:1", region="us-east-1")})
    store, root, prefix = find_filesystem(f"{scheme}://mine/a b/c.jsonl")
    assert (store.type_name, root, prefix) == ("s3", "mine/a b/c.jsonl", f"{scheme}://")


def test_all_files_of_a_bucket_share_connections() -> None:
    adopt_logins({"mine": S3Login("one", keys=KEYS, endpoint="localhost:1", region="us-east-1")})
    assert find_filesystem("s3://mine/a")[0] is find_filesystem("s3a://mine/b")[0]


@pytest.mark.parametrize("path", ["s3://AKIA:hush@crawl/x", "s3a://AKIA:hush/hush@crawl/x"])
def test_keys_in_a_path_are_refused_and_not_shown(path: str) -> None:
    with pytest.raises(RecipeError, match=r"a path holds keys of S3.*spark\.hadoop\.fs\.s3a\.access\.key") as caught:
        find_bucket(path)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "bucket"),
    [
        ("s3://crawl/a:b@c", "crawl"),
        ("s3a://arn:aws:s3:eu-west-3:1:accesspoint/x", "arn:aws:s3:eu-west-3:1:accesspoint"),
        ("abfss://container@account/x", None),
        ("/data/x", None),
    ],
)
def test_the_bucket_of_a_path_on_s3_is_found(path: str, bucket: str | None) -> None:
    assert find_bucket(path) == bucket


def test_expired_keys_end_the_run_with_what_to_change() -> None:
    keys = S3Keys(SecretStr("AKIAEXPIRED"), SecretStr("expired-secret"), SecretStr("t"), expires_at=1.0)
    adopt_logins({"mine": S3Login("what SomeProvider gave at the start", keys=keys)})
    with pytest.raises(
        InputError, match=r"bucket mine \(what SomeProvider gave at the start\) have expired.*session.duration"
    ):
        find_filesystem("s3://mine/a")


def test_messages_name_the_kind_of_credentials_and_hide_their_values() -> None:
    adopt_logins({"mine": LOGIN})
    assert describe_login("s3a://mine/x").startswith(" (credentials: keys from a test, endpoint https://localhost:1;")
    assert "Spark's settings have none" in describe_login("s3://other/x")
    assert describe_login("/data/x") == ""
    assert hide_secrets(f"refused: {SECRETS[1]}!") == "refused: *** redacted ***!"
