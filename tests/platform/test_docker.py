"""The Dockerfile: what a linter says of it, and what it pins beside what the code knows."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pyspark
import pytest
from cluster import BIN, REPOSITORY

from prox_spark.session import DELTA_PACKAGES

pytestmark = pytest.mark.platform

DOCKER = REPOSITORY / "conf" / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
JARS = [line.split() for line in (DOCKER / "jars.txt").read_text().splitlines()]


def test_the_linter_has_nothing_to_say(tmp_path: Path) -> None:
    hadolint = [str(BIN / "hadolint"), "--no-color"]
    done = subprocess.run([*hadolint, str(DOCKER / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN cd /opt && sudo apt-get install gcc\n")
    assert subprocess.run([*hadolint, str(tmp_path / "Dockerfile")], capture_output=True).returncode == 1


def test_every_image_has_a_tag_and_the_container_is_no_root() -> None:
    images = re.findall(r"^ARG \w+_IMAGE=(\S+)$", DOCKERFILE, re.M)
    assert len(images) == 2 and all(re.search(r":[\w.-]*\d[\w.-]*$", image) for image in images)
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.M)[-1] == "185"


def test_it_has_the_spark_and_the_delta_of_the_package() -> None:
    version = pyspark.__version__
    assert f"spark:{version}-" in DOCKERFILE
    group, artifact, delta = DELTA_PACKAGES[".".join(version.split(".")[:2])].split(":")
    path = f"{group.replace('.', '/')}/{artifact}/{delta}/{artifact}-{delta}.jar"
    assert path in [place for _, place in JARS]
    assert f"delta-spark=={delta}" in DOCKERFILE


def test_jars_have_the_checksums_of_those_that_set_up_fetched() -> None:
    jars = Path(pyspark.__file__).parent / "jars"
    ours = {
        jar.name.partition("_")[2]: jar
        for jar in jars.glob("io.*.jar")
        if re.match(r"io\.(delta|unitycatalog)_", jar.name)
    }
    pinned = {place.rpartition("/")[2]: checksum for checksum, place in JARS}
    assert ours and ours.keys() <= pinned.keys()
    for name, jar in ours.items():
        assert hashlib.sha256(jar.read_bytes()).hexdigest() == pinned[name], name


def test_the_connector_of_s3_is_that_of_spark_s_hadoop() -> None:
    (hadoop,) = (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")
    version = hadoop.stem.rpartition("-")[2]
    assert f"hadoop-aws-{version}.jar" in [place.rpartition("/")[2] for _, place in JARS]


def test_what_it_copies_is_let_through_and_nothing_else() -> None:
    """`docker build` sends what .dockerignore does not exclude: no lake, no environment, no credentials."""
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    passed = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    copied = {word for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M) for word in line.split()}
    assert {word.split("/")[0] for word in copied} == passed
    assert all((REPOSITORY / word).exists() for word in copied)
