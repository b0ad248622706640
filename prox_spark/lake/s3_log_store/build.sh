#!/usr/bin/env bash
# Compiles the log store into the JAR beside it, which is part of the wheel. Its manifest tells by which source it was made.
set -euo pipefail
JARS="$(cd "${1:?the folder of the JARs of a Spark with Delta}" && pwd)"
cd "$(dirname "$0")"
made="$(mktemp -d)"
trap 'rm -rf "$made"' EXIT
javac --release 11 -Xlint:all -Werror -d "$made/classes" \
    -cp "$(echo "$JARS"/*delta-storage-*.jar "$JARS"/hadoop-client-api-*.jar | tr ' ' ':')" S3ConditionalLogStore.java
echo "Source-SHA-256-Begins: $(sha256sum S3ConditionalLogStore.java | cut -c1-40)" >"$made/manifest"
jar --create --file prox-spark-log-store.jar --manifest "$made/manifest" --date=2026-01-01T00:00:00Z -C "$made/classes" .
