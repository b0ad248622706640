"""S3 as moto plays it, asking for valid signatures: a request without the right keys is refused."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from cluster import REPOSITORY
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
# hadoop-aws and what it needs, as the Makefile puts them there.
S3A_JARS = REPOSITORY / ".cache" / "s3a" / "*"


@dataclass(frozen=True)
class Keys:
    """Keys of a user or, with a token, of a role."""

    access: str
    secret: str
    token: str | None = None

    @property
    def texts(self) -> list[str]:
        return [text for text in (self.access, self.secret, self.token) if text]


@dataclass(frozen=True)
class MotoS3:
    """A server in this process, its buckets and the keys of a user who may all."""

    url: str
    keys: Keys

    def client(self, service: str, keys: Keys | None = None) -> Any:
        keys = keys or self.keys
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=keys.access,
            aws_secret_access_key=keys.secret,
            aws_session_token=keys.token,
        )

    def put(self, bucket: str, files: Mapping[str, bytes]) -> None:
        """Write objects."""
        for name, content in files.items():
            self.client("s3").put_object(Bucket=bucket, Key=name, Body=content)

    def read_all(self, bucket: str) -> dict[str, bytes]:
        """Return all objects of a bucket."""
        store = self.client("s3")
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        names = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {name: store.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}

    def make_role(self, name: str) -> str:
        """Make a role that anyone may assume and that may all, and return its ARN."""
        roles = self.client("iam")
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        made = roles.create_role(RoleName=name, AssumeRolePolicyDocument=_write_policy(trust))
        roles.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=_write_policy(_ALL))
        return str(made["Role"]["Arn"])

    def assume(self, role: str) -> Keys:
        """Return temporary keys of a role."""
        made = self.client("sts").assume_role(RoleArn=role, RoleSessionName="tests")["Credentials"]
        return Keys(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])

    @property
    def place_settings(self) -> dict[str, str]:
        """Settings of Spark that lead to this server, without credentials."""
        return {
            "spark.driver.extraClassPath": str(S3A_JARS),
            "spark.hadoop.fs.s3a.endpoint": self.url,
            "spark.hadoop.fs.s3a.endpoint.region": REGION,
            "spark.hadoop.fs.s3a.path.style.access": "true",
        }

    @property
    def settings(self) -> dict[str, str]:
        """Settings of Spark that lead to this server, with the user's keys."""
        return self.place_settings | {
            "spark.hadoop.fs.s3a.access.key": self.keys.access,
            "spark.hadoop.fs.s3a.secret.key": self.keys.secret,
        }


_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def _write_policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def moto_s3(*buckets: str) -> Iterator[MotoS3]:
    """Yield a server with these buckets, which checks all requests."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # It logs every request.
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        _call(url, "reset")
        first = MotoS3(url, Keys("anyone", "anything"))
        for bucket in buckets:
            first.client("s3").create_bucket(Bucket=bucket)
        users = first.client("iam")
        users.create_user(UserName="prox")
        users.put_user_policy(UserName="prox", PolicyName="all", PolicyDocument=_write_policy(_ALL))
        made = users.create_access_key(UserName="prox")["AccessKey"]
        _call(url, "reset-auth", b"0")
        yield MotoS3(url, Keys(made["AccessKeyId"], made["SecretAccessKey"]))
    finally:
        # The number is the process's, and other tests have servers that check nothing.
        _call(url, "reset-auth", b"inf")
        server.stop()


def _call(url: str, action: str, content: bytes = b"") -> None:
    request = urllib.request.Request(f"{url}/moto-api/{action}", content, {"Content-Type": "text/plain"}, method="POST")
    urllib.request.urlopen(request, timeout=30).close()


def without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which AWS's own chain finds nothing."""
    kept = {name: value for name, value in environment.items() if not name.startswith("AWS_")}
    nowhere = str(Path("/nonexistent"))
    return kept | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
    }
