#!/usr/bin/env bash
# hadoop-aws 3.4.2: conditional writes are on by default (fs.s3a.create.conditional.enabled), and the store says that it can
# (hasPathCapability), but FileSystem.create(path, overwrite=false) sends no If-None-Match. It looks for the file when it opens and
# puts it in place when it closes: of two writers that open before either closes, both succeed and the last one wins. Only
# createFile(path) with must("fs.option.create.conditional.overwrite", true) is refused. Whoever relies on create(path, false) to make a
# file once, as on HDFS, loses writes on S3.
# Seen: `first` was overwritten by `second` without an error; createFile() raised RemoteFileChangedException.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pyspark==4.1.2" "moto[server]==5.2.5"
mkdir "$folder/jars"
for jar in org/apache/hadoop/hadoop-aws/3.4.2/hadoop-aws-3.4.2.jar software/amazon/awssdk/bundle/2.29.52/bundle-2.29.52.jar \
    software/amazon/s3/analyticsaccelerator/analyticsaccelerator-s3/1.2.1/analyticsaccelerator-s3-1.2.1.jar; do
    curl -fsSL -o "$folder/jars/${jar##*/}" "https://repo1.maven.org/maven2/$jar"
done
cd "$folder"
cat > twice.py <<'PYTHON'
import os
import sys

import boto3
from moto.server import ThreadedMotoServer
from pyspark.sql import SparkSession

server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
url = "http://{}:{}".format(*server.get_host_and_port())
keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
boto3.client("s3", endpoint_url=url, **keys).create_bucket(Bucket="bucket")
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
builder = builder.config("spark.driver.extraClassPath", os.path.abspath("jars/*"))
for name, value in {
    "endpoint": url,
    "endpoint.region": "us-east-1",
    "access.key": "key",
    "secret.key": "secret",
    "path.style.access": "true",
}.items():
    builder = builder.config(f"spark.hadoop.fs.s3a.{name}", value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("OFF")
jvm, settings = spark._jvm, spark._jsc.hadoopConfiguration()
path = jvm.org.apache.hadoop.fs.Path("s3a://bucket/file")
store = path.getFileSystem(settings)
conditional = "fs.option.create.conditional.overwrite"
print("hadoop", jvm.org.apache.hadoop.util.VersionInfo.getVersion(), "- conditional writes:", store.hasPathCapability(path, conditional))


def read():
    with_bytes = store.open(path)
    text = jvm.java.lang.String(bytearray(with_bytes.readAllBytes()), "UTF-8")
    with_bytes.close()
    return str(text)


first, second = store.create(path, False), store.create(path, False)
first.write(bytearray(b"first"))
first.close()
was = read()
second.write(bytearray(b"second"))
second.close()
print(f"create(path, False) twice: {was!r}, then {read()!r}, without an error")
lost = (was, read()) == ("first", "second")

store.delete(path, False)


def open_conditionally():
    builder = store.createFile(path).create().overwrite(True)
    builder.must(conditional, True)
    return builder.build()


first, second = open_conditionally(), open_conditionally()
first.write(bytearray(b"first"))
first.close()
second.write(bytearray(b"second"))
try:
    second.close()
    refused = "nothing"
except Exception as error:
    refused = error.java_exception.getClass().getSimpleName()
print(f"createFile() with the option twice: {refused} for the second, {read()!r} is there")
kept = refused == "RemoteFileChangedException" and read() == "first"
spark.stop()
server.stop()
sys.exit(0 if lost and kept else "create(path, overwrite=false) is conditional, or createFile() is not")
PYTHON
"$folder/venv/bin/python" twice.py 2>/dev/null
