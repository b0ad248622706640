#!/usr/bin/env bash
# boto3 1.44.8: `emr.run_job_flow` and `emr.add_job_flow_steps` are sent again by themselves after an answer that was lost (a timeout or
# a 500), with every retry mode and by default. EMR on EC2 has no client token, so two equal requests are two clusters, or the same
# steps twice. EMR Serverless has one (`clientToken`), which boto3 makes itself and sends with both tries. Create a client with
# `retries={"total_max_attempts": 1}` for these two and look for what the lost request made, by a name of your own.
# Seen: one call of run_job_flow is two equal requests without a token, also with `mode: standard`; start_job_run is two with one token.
set -euo pipefail
folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check boto3==1.44.8
"$folder/venv/bin/python" - <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
from botocore.config import Config

taken = []


class Service(BaseHTTPRequestHandler):
    """Takes every request; the first answer is lost."""

    def do_POST(self):
        taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"JobFlowId": f"j-{len(taken)}", "StepIds": ["s-1"], "applicationId": "a", "jobRunId": "r", "arn": "x"}).encode()
        self.send_response(500 if len(taken) == 1 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()


def call(service, operation, retries, **request):
    taken.clear()
    client = boto3.client(
        service, region_name="eu-west-1", endpoint_url=f"http://127.0.0.1:{server.server_port}", aws_access_key_id="a",
        aws_secret_access_key="b", config=Config(retries=retries),
    )
    getattr(client, operation)(**request)
    print(f"{service} {operation} {retries or 'default'}: {len(taken)} requests, equal: {len(set(taken)) == 1}, token: {b'clientToken' in taken[0]}")
    return len(taken), len(set(taken)), b"clientToken" in taken[0]


cluster = {"Name": "nightly", "Instances": {"InstanceCount": 1}}
for retries in (None, {"mode": "standard"}, {"mode": "adaptive"}):
    assert call("emr", "run_job_flow", retries, **cluster) == (2, 1, False)
assert call("emr", "add_job_flow_steps", None, JobFlowId="j-1", Steps=[]) == (2, 1, False)
run = {"applicationId": "a" * 8, "executionRoleArn": "arn:aws:iam::123456789012:role/r", "jobDriver": {"hive": {"query": "q"}}}
assert call("emr-serverless", "start_job_run", None, **run) == (2, 1, True)
print("boto3", boto3.__version__)
PY
