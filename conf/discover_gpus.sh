#!/usr/bin/env bash
# Spark's GPU discovery: prints the GPUs of this host as {"name": "gpu", "addresses": ["0","1"]}. For
# spark.worker.resource.gpu.discoveryScript on a standalone cluster, spark.executor.resource.gpu.discoveryScript elsewhere.
set -euo pipefail

fail() { printf 'discover_gpus.sh: %s\n' "$*" >&2; exit 1; }

command -v nvidia-smi >/dev/null || fail "nvidia-smi is not on the PATH ($PATH): install the NVIDIA driver on this host, or ask for no GPUs (spark.*.resource.gpu.amount)."
indices="$(nvidia-smi --query-gpu=index --format=csv,noheader)" || fail "nvidia-smi failed: $indices"
[ -n "$indices" ] || fail "nvidia-smi lists no GPU."
case "${CUDA_VISIBLE_DEVICES-unset}" in "" | -*) fail "CUDA_VISIBLE_DEVICES='$CUDA_VISIBLE_DEVICES' hides all GPUs of this host: unset it." ;; esac
# nvidia-smi does not heed CUDA_VISIBLE_DEVICES; the engine does: there an address is a position in it.
if [ -n "${CUDA_VISIBLE_DEVICES:-}" ]; then
    commas="${CUDA_VISIBLE_DEVICES//[^,]/}"
    indices="$(seq 0 "${#commas}")"
fi
printf '{"name": "gpu", "addresses": [%s]}\n' "$(sed 's/[[:space:]]//g; s/.*/"&"/' <<<"$indices" | paste -sd, -)"
