"""A lake and inputs on S3: moto's server, which checks every signature, and the real hadoop-aws."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cluster import make_environment, make_fake_engine_environment, start_job
from lossy_network import lossy_network
from moto_s3 import S3A_JARS, Keys, MotoS3, moto_s3, without_aws
from short_runs import FEW_PARTITIONS, UNCOMPILED

from prox_spark.demo import PAGES
from prox_spark.lake.log_store import S3_LOG_STORE

pytestmark = pytest.mark.platform

HERE = Path(__file__).parent
WRONG = Keys("AKIAWRONGKEYWRONG", "wrong/secret/of/a/wrong/key")
# Nothing is found in what is compressed.
_UNCOMPRESSED = {
    "spark.eventLog.compress": "false",
    "spark.broadcast.compress": "false",
    "spark.shuffle.compress": "false",
    "spark.shuffle.spill.compress": "false",
    "spark.sql.parquet.compression.codec": "uncompressed",
}
_SAFE = {"spark.delta.logStore.s3a.impl": S3_LOG_STORE}


@dataclass(frozen=True)
class Story:
    """What `s3_job.py` did: its output by command, and all that it left."""

    commands: dict[str, list[tuple[str, str]]]
    left: dict[str, bytes]
    hidden: list[str]
    store: MotoS3
    folder: Path


@pytest.fixture(scope="module")
def store() -> Iterator[MotoS3]:
    assert list(S3A_JARS.parent.glob("hadoop-aws-*.jar")), "`make .cache/s3a/installed` fetches hadoop-aws"
    with moto_s3("crawl", "vault", "custom", "lake", "other") as server:
        yield server


@pytest.fixture(scope="module")
def story(store: MotoS3, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Run all commands once on a lake at s3a://, with keys in the recipe, temporary ones for one bucket, a class of Hadoop for another."""
    folder = tmp_path_factory.mktemp("s3")
    for name in ("events", "local"):
        (folder / name).mkdir()
    lines = PAGES.read_bytes().splitlines()
    temporary, given = store.assume(store.make_role("reader")), store.assume(store.make_role("giver"))
    store.put("crawl", {"pages/a.jsonl": b"\n".join(lines[:4]) + b"\n", "parquet/b.parquet": _make_parquet(lines[4:6])})
    labels = [{"text": json.loads(line)["text"], "keep": True} for line in lines[:2]]
    labelled = b"".join(json.dumps(label).encode() + b"\n" for label in labels)
    store.put("crawl", {"labels.jsonl": labelled})
    store.put("vault", {"more.jsonl": lines[6] + b"\n", "labels.jsonl.gz": gzip.compress(labelled)})
    store.put("custom", {"given.jsonl": lines[7] + b"\n"})
    recipe, notes, profiles = (folder / name for name in ("recipe.yaml", "notes.json", "profiles"))
    profiles.write_text(_write_profile("giver", given))
    conf = store.settings | _SAFE | FEW_PARTITIONS | UNCOMPILED | _make_bucket_settings(temporary, profiles)
    conf |= {"spark.eventLog.enabled": "true", "spark.eventLog.dir": (folder / "events").as_uri()}
    conf |= {"spark.local.dir": str(folder / "local")} | _UNCOMPRESSED
    parts = {"lake": {"root": "s3a://lake/prox"}, "engine": {"device": "cpu"}, "self_test": {"enabled": False}}
    recipe.write_text(json.dumps({"name": "s3", **parts, "spark": {"conf": conf}}))
    hidden = [*store.keys.texts, *temporary.texts, *given.texts, *WRONG.texts]
    notes.write_text(json.dumps({"wrong": WRONG.texts, "secrets": hidden, "local": str(folder / "local")}))
    environment = without_aws(make_fake_engine_environment())
    job = start_job([sys.executable, HERE / "s3_job.py", recipe, notes, folder], folder, environment)
    printed = job.wait_for_end(seconds=1500)
    left = {
        str(path.relative_to(folder)): path.read_bytes() for path in _find_files(folder, but=(recipe, notes, profiles))
    }
    left |= {f"s3a://lake/{name}": content for name, content in store.read_all("lake").items()}
    return Story(_split(printed), left, hidden, store, folder)


def _make_bucket_settings(temporary: Keys, profiles: Path) -> dict[str, str]:
    hadoop = "org.apache.hadoop.fs.s3a"
    vault, custom = "spark.hadoop.fs.s3a.bucket.vault.", "spark.hadoop.fs.s3a.bucket.custom."
    return {
        f"{vault}access.key": temporary.access,
        f"{vault}secret.key": temporary.secret,
        f"{vault}session.token": str(temporary.token),
        f"{vault}aws.credentials.provider": f"{hadoop}.TemporaryAWSCredentialsProvider",
        f"{custom}aws.credentials.provider": f"{hadoop}.auth.ProfileAWSCredentialsProvider",
        "spark.hadoop.fs.s3a.auth.profile.file": str(profiles),
        "spark.hadoop.fs.s3a.auth.profile.name": "giver",
    }


def _write_profile(name: str, keys: Keys) -> str:
    return f"[{name}]\naws_access_key_id={keys.access}\naws_secret_access_key={keys.secret}\naws_session_token={keys.token}\n"


def _make_parquet(lines: list[bytes]) -> bytes:
    rows = [json.loads(line) for line in lines]
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": [row["id"] for row in rows], "text": [row["text"] for row in rows]}), buffer)
    return buffer.getvalue()


def _find_files(folder: Path, but: tuple[Path, ...]) -> list[Path]:
    # Spark removes its own folder at this moment; the job has searched it.
    places = (folder, *(place for place in folder.iterdir() if place.is_dir() and place.name != "local"))
    found = (path for place in places for path in (place.glob("*") if place == folder else place.rglob("*")))
    return [path for path in found if path.is_file() and path not in but]


def _split(printed: str) -> dict[str, list[tuple[str, str]]]:
    """Return the output of each call of a command with its status, by command."""
    found: dict[str, list[tuple[str, str]]] = {}
    for part in re.split(r"^== (?!status)", printed, flags=re.MULTILINE)[1:]:
        command, _, rest = part.partition("\n")
        shown, _, status = rest.partition("== status ")
        found.setdefault(command, []).append((shown, status.strip()))
    return found


def read_checks(shown: str) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(shown)}


def test_every_command_works_on_a_lake_at_s3a(story: Story) -> None:
    done = {name: [status for _, status in calls] for name, calls in story.commands.items()}
    assert done["demo"] + done["apply"] + done["compare"] + done["sql"] == ["0"] * 5
    assert done["ingest"][:2] == ["0"] * 2 and done["doctor"][0] == "0"


def test_inputs_of_every_bucket_are_read_with_the_login_that_hadoop_has_for_it(story: Story) -> None:
    counts = story.commands["sql"][0][0]
    # JSON Lines by the recipe's keys, Parquet by the same, JSON Lines by temporary keys of a bucket, and by a class of Hadoop.
    assert counts.splitlines() == ["source,n", "given,1", "more,1", "pages,4", "parquet,2"]


def test_labels_of_every_bucket_are_read_with_the_login_that_hadoop_has_for_it(story: Story) -> None:
    ((imported, status),) = story.commands["annotate"]
    assert status == "0" and "2 labels imported into the set labels" in imported
    assert [status for _, status in story.commands["evaluate"]] == ["0", "1"]
    errors = (story.folder / "err").read_text()
    assert re.search(r"prox-spark: can't read labels from s3://crawl/labels.jsonl: .* \(credentials: keys from", errors)


def test_no_secret_is_in_anything_that_a_run_leaves(story: Story) -> None:
    assert {"out", "err", "processes.json"} <= story.left.keys()
    assert any(name.startswith("events/") for name in story.left)
    assert any(name.startswith("s3a://lake/prox/runs/") for name in story.left), sorted(story.left)
    assert any(b"fs.s3a.secret.key" in content for name, content in story.left.items() if name.startswith("events/"))
    found = [
        (name, text[:4]) for name, content in story.left.items() for text in story.hidden if text.encode() in content
    ]
    assert found == []


def test_no_secret_was_on_the_disk_during_the_run(story: Story) -> None:
    assert json.loads((story.folder / "spilled.json").read_text()) == []


def test_the_recipe_in_runs_is_redacted(story: Story) -> None:
    rows = [json.loads(line)["recipe"] for line in story.commands["sql"][1][0].splitlines()]
    confs = [json.loads(row)["spark"]["conf"] for row in rows]
    assert confs and {conf["spark.hadoop.fs.s3a.secret.key"] for conf in confs} == {"*** redacted ***"}
    assert {conf["spark.hadoop.fs.s3a.bucket.vault.session.token"] for conf in confs} == {"*** redacted ***"}


def test_wrong_keys_end_a_run_with_a_message_that_says_whose_they_are(story: Story) -> None:
    errors = (story.folder / "err").read_text()
    assert [status for _, status in story.commands["ingest"][2:]] == ["2"]
    assert re.search(
        r"prox-spark: can't list the input s3://crawl/pages/: .* \(credentials: keys from the setting", errors
    )
    assert story.commands["refine"][0][1] == "1" and "can't reach s3a://other/lake/documents: " in errors


def test_doctor_finds_nothing_to_change_where_all_is_right(story: Story) -> None:
    checks = read_checks(story.commands["doctor"][0][0])
    assert {check["status"] for check in checks.values()} <= {"ok", "warning"}
    assert checks["credentials, lake"]["found"].startswith("keys from the setting fs.s3a.access.key")
    assert checks["log store"]["found"] == "S3ConditionalLogStore, safe for several drivers"
    assert checks["inputs"]["found"] == "1 files"


def test_doctor_leaves_nothing_behind(story: Story) -> None:
    assert [name for name in story.left if "doctor" in name] == []


def test_doctor_leaves_no_folder_of_a_lake_that_is_not_there_yet(store: MotoS3, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    lake = {"root": "s3a://vault/team/lake"}
    recipe.write_text(json.dumps({"lake": lake, "spark": {"conf": store.settings | _SAFE | FEW_PARTITIONS}}))
    before = store.read_all("vault").keys()
    words = [sys.executable, "-m", "prox_spark.cli", "doctor", "--json", "--recipe", recipe]
    checks = read_checks(start_job(words, tmp_path, without_aws(make_environment())).wait_for_end(seconds=900))
    # In the lake, because rights often end there.
    assert checks["lake, writing"]["found"] == "a file was written to s3a://vault/team/lake and removed"
    assert checks["log store"]["status"] == "ok"
    assert store.read_all("vault").keys() == before


def test_doctor_fails_where_the_keys_are_wrong(story: Story) -> None:
    shown, status = story.commands["doctor"][1]
    assert status == "1" and read_checks(shown)["lake"]["status"] == "failure"


def test_keys_of_the_environment_and_the_endpoint_of_hadoop_serve_an_ingest(store: MotoS3, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    conf = store.place_settings | FEW_PARTITIONS | UNCOMPILED
    recipe.write_text(json.dumps({"lake": {"root": str(tmp_path / "lake")}, "spark": {"conf": conf}}))
    lines = PAGES.read_bytes().splitlines()
    store.put("crawl", {"environment/a.jsonl": lines[8] + b"\n"})
    keys = {"AWS_ACCESS_KEY_ID": store.keys.access, "AWS_SECRET_ACCESS_KEY": store.keys.secret}
    words = [sys.executable, "-m", "prox_spark.cli", "ingest", "s3://crawl/environment/", "--recipe", recipe]
    job = start_job(words, tmp_path, without_aws(make_environment()) | keys)
    assert re.search(r"1 new", job.wait_for_end(seconds=900))
    shown = (tmp_path / "out").read_text() + (tmp_path / "err").read_text()
    assert [text for text in store.keys.texts if text in shown] == []


@contextmanager
def writer(settings: Path, table: str, log: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a driver that has started."""
    words = [sys.executable, str(HERE / "s3_writer.py"), str(settings), table]
    with log.open("wb") as errors:
        driver = subprocess.Popen(
            words,
            env=without_aws(make_environment()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def read_line(driver: subprocess.Popen[str]) -> str:
    assert driver.stdout is not None
    return driver.stdout.readline().strip()


def order(driver: subprocess.Popen[str], n_rows: int) -> None:
    assert driver.stdin is not None
    print(n_rows, file=driver.stdin, flush=True)


class EveryThirdCommit:
    """Tells every third write of a commit. The next try of such a write is the first of the next three."""

    def __init__(self) -> None:
        self._n = 0

    def __call__(self, method: str, path: str, header: Mapping[str, str]) -> bool:
        self._n += method == "PUT" and "/_delta_log/" in path and "if-none-match" in map(str.lower, header)
        is_third = self._n == 3
        self._n %= 3
        return is_third


def test_two_drivers_that_append_at_once_lose_and_double_nothing_though_answers_get_lost(
    store: MotoS3, tmp_path: Path
) -> None:
    path, table, n_rows = tmp_path / "settings.json", "s3a://other/two-drivers", 8
    with lossy_network(store.url, EveryThirdCommit()) as network:
        settings = store.settings | {"spark.hadoop.fs.s3a.endpoint": network.url} | _SAFE | FEW_PARTITIONS | UNCOMPILED
        path.write_text(json.dumps(settings))
        with writer(path, table, tmp_path / "a") as one, writer(path, table, tmp_path / "b") as other:
            assert [read_line(driver) for driver in (one, other)] == ["ready", "ready"]
            order(one, 1)  # The first row makes the table.
            assert read_line(one) == "done", (tmp_path / "a").read_text()[-3000:]
            for driver in (one, other):
                order(driver, n_rows)
            assert [read_line(driver) for driver in (one, other)] == ["done", "done"], (tmp_path / "b").read_text()[
                -3000:
            ]
            assert one.stdin is not None
            one.stdin.close()
            assert read_line(one) == str(1 + 2 * n_rows)
        assert network.n_lost >= n_rows // 2
