"""The command line of submit.py."""

from __future__ import annotations

import argparse
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

STEPS = ("ingest", "refine", "apply")
RELEASE = "emr-7.14.0"
_DESCRIPTION = """Run steps of prox_spark on Amazon EMR and wait for their end: on a cluster that runs, on one that is created for them and ends
with them, or on EMR Serverless (without GPUs). Region and credentials: AWS_REGION, AWS_PROFILE, a role of the host."""
_EPILOG = """exit status: 0 all steps ended well; 1 one did not, or nothing was submitted; 2 usage or recipe error; 130 interrupted, and the run
goes on unless --cancel-on-interrupt is given"""


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments, with a token in any case."""
    parser = argparse.ArgumentParser(prog="submit.py", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument(
        "steps", nargs="+", choices=STEPS, metavar="STEP", help=f"{', '.join(STEPS)}; they run in this order"
    )
    _add_places(parser)
    _add_work(parser)
    _add_cluster(parser)
    _add_serverless(parser)
    _add_waiting(parser)
    args = parser.parse_args(argv)
    args.steps = [step for step in STEPS if step in args.steps]
    args.token = args.token or secrets.token_hex(8)
    _check(parser, args)
    return args


def _add_places(parser: argparse.ArgumentParser) -> None:
    place = parser.add_argument_group("where").add_mutually_exclusive_group(required=True)
    place.add_argument(
        "--cluster", metavar="ID", help="cluster that runs, such as j-2AXXXXXXGAPLF, made from the same configuration"
    )
    place.add_argument("--create", action="store_true", help="create a cluster for these steps; it ends with them")
    place.add_argument("--application", metavar="ID", help="EMR Serverless application")
    place.add_argument(
        "--create-application",
        action="store_true",
        help="create an EMR Serverless application; it stays, and costs nothing idle",
    )


def _add_work(parser: argparse.ArgumentParser) -> None:
    work = parser.add_argument_group("what")
    work.add_argument(
        "--stage",
        metavar="URI",
        required=True,
        help="folder for code and logs, such as s3://bucket/prox; jobs, wheel and environment go to URI/code",
    )
    work.add_argument(
        "--recipe", metavar="FILE", help="recipe on this machine; its fields become arguments of the steps"
    )
    work.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="field of the recipe; repeat it for more fields"
    )
    work.add_argument("--lake", metavar="ROOT", help="URI of the lake, in place of the recipe's")
    work.add_argument("--input", metavar="URI", action="append", default=[], help="input of ingest; repeat it for more")
    work.add_argument(
        "--log-table", metavar="NAME", help="DynamoDB table that keeps several drivers on one lake apart; see the docs"
    )
    work.add_argument(
        "--dist",
        metavar="FOLDER",
        type=Path,
        default=Path("dist"),
        help="where `make package` put wheel and environment; default: dist",
    )
    work.add_argument(
        "--release", metavar="LABEL", default=RELEASE, help=f"EMR release of what is created; default: {RELEASE}"
    )
    work.add_argument(
        "--token",
        metavar="TEXT",
        help="name of this run. The same token never starts anything twice: a second start waits for the first",
    )


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    cluster = parser.add_argument_group("with --create")
    cluster.add_argument(
        "--subnet",
        metavar="ID",
        action="append",
        default=[],
        help="subnet; several let EMR choose the one with capacity",
    )
    cluster.add_argument(
        "--instance-profile", metavar="NAME", help="instance profile of the nodes (conf/emr/iam/job-role.json)"
    )
    cluster.add_argument(
        "--service-role",
        metavar="NAME",
        default="EMR_DefaultRole_V2",
        help="role of EMR itself; default: EMR_DefaultRole_V2",
    )
    cluster.add_argument(
        "--gpus", metavar="N", type=int, default=2, help="GPU nodes for refine, one GPU each; default: 2"
    )


def _add_serverless(parser: argparse.ArgumentParser) -> None:
    serverless = parser.add_argument_group("with --application or --create-application")
    serverless.add_argument("--role", metavar="ARN", help="job runtime role (conf/emr/iam/job-role.json)")


def _add_waiting(parser: argparse.ArgumentParser) -> None:
    waiting = parser.add_argument_group("waiting")
    waiting.add_argument("--no-wait", action="store_true", help="only submit")
    waiting.add_argument(
        "--dry-run",
        action="store_true",
        help="print the requests as JSON, checked by boto3's model of the API, and send nothing",
    )
    waiting.add_argument(
        "--poll-seconds", metavar="N", type=float, default=30, help="time between two looks; default: 30"
    )
    waiting.add_argument(
        "--log-wait-seconds",
        metavar="N",
        type=float,
        default=360,
        help="how long to wait for a failed step's log, which EMR copies every five minutes; default: 360",
    )
    waiting.add_argument(
        "--cancel-on-interrupt",
        action="store_true",
        help="Ctrl-C and SIGTERM cancel the steps, or end the cluster that was created for them",
    )


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with a usage error where arguments don't go together."""
    if not re.fullmatch(r"s3://[^/]+(/.*)?", args.stage):
        parser.error(f"--stage {args.stage}: give a folder as s3://bucket/prefix")
    args.stage = args.stage.rstrip("/")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", args.token):
        parser.error(f"--token {args.token!r}: up to 40 letters, digits, `.`, `_` and `-`")
    if args.create and not (args.subnet and args.instance_profile):
        parser.error("--create needs --subnet and --instance-profile")
    if args.gpus < 1:
        parser.error("--gpus must be 1 or more; steps without refine get no GPU node anyway")
    if (args.application or args.create_application) and not args.role:
        parser.error("EMR Serverless needs --role, the ARN of the job runtime role")
    if args.poll_seconds <= 0:
        parser.error("--poll-seconds must be more than 0")
