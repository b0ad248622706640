#!/usr/bin/env bash
# EMR bootstrap action, on every node: a Python environment with prox_spark, on nodes with a GPU also with vLLM, at one path.
#   bootstrap.sh s3://…/prox_spark-VERSION-py3-none-any.whl s3://…/gpu.txt DELTA_VERSION [INDEX_URL]
# gpu.txt pins the packages, DELTA_VERSION is that of Delta's Python package for this release, and INDEX_URL a package index for clusters
# that don't reach pypi.org, such as one of CodeArtifact.
set -euo pipefail

HOME_OF_PROX="${PROX_HOME:-/opt/prox}"       # environment, discovery script
DATA_OF_PROX="${PROX_DATA:-/mnt/prox}"       # models, on the large disk
CGROUPS="${PROX_CGROUPS:-/prox-cgroup}"      # gpu-nodes.json names it to YARN
PCI="${PROX_PCI:-/sys/bus/pci/devices}"       # the kernel's list of devices
MIN_DRIVER=580                               # PyTorch of vLLM 0.32 is built for CUDA 13.0

say() { printf 'prox_spark bootstrap: %s\n' "$*"; }
fail() { printf 'prox_spark bootstrap: %s\n' "$*" >&2; exit 1; }

# The kernel tells a GPU also where its driver is missing: 0x10de is NVIDIA, and class 0x03 are display and 3D controllers.
has_gpu() {
    local device
    for device in "$PCI"/*; do
        if grep -qs '^0x10de' "$device/vendor" && grep -qs '^0x03' "$device/class"; then return 0; fi
    done
    return 1
}
driver_major() { nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | sed -nE '1s/^([0-9]+).*/\1/p'; }

install_driver() {
    say "installing NVIDIA driver $MIN_DRIVER (found: ${1:-none})"
    sudo dnf install -y "kernel-devel-$(uname -r)" kernel-modules-extra
    sudo dnf config-manager --add-repo https://developer.download.nvidia.com/compute/cuda/repos/amzn2023/x86_64/cuda-amzn2023.repo
    sudo dnf module enable -y "nvidia-driver:$MIN_DRIVER-open"
    sudo dnf install -y nvidia-open
    # With the module of an older driver in the kernel, nvidia-smi of the new one would fail.
    sudo modprobe -r nvidia-drm nvidia-modeset nvidia-uvm nvidia 2>/dev/null || :
    sudo modprobe nvidia
}

# YARN 3.4 isolates GPUs by cgroups v1, which Amazon Linux 2023 does not mount.
mount_cgroups() {
    sudo mkdir -p "$CGROUPS/devices"
    mountpoint -q "$CGROUPS/devices" || sudo mount -t cgroup -o devices prox-devices "$CGROUPS/devices"
    sudo chmod -R a+rwx "$CGROUPS"
}

install_python() {
    command -v python3.11 >/dev/null || sudo dnf install -y python3.11 python3.11-pip
    sudo mkdir -p "$HOME_OF_PROX"
    sudo chown "$(id -un)" "$HOME_OF_PROX"
    python3.11 -m venv "$HOME_OF_PROX/env"
}

# pip compiles bytecode, so that no engine does at its start.
install_packages() { "$HOME_OF_PROX/env/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check "$@"; }

fetch() { aws s3 cp --only-show-errors "$1" "$folder/${1##*/}" || fail "can't read $1: the instance profile needs s3:GetObject there."; }

wheel_uri="${1:-}"; pins_uri="${2:-}"; delta="${3:-}"; index="${4:-}"
case "$wheel_uri" in s3://*.whl) ;; *) fail "the first argument must be the wheel of prox_spark, such as s3://bucket/code/prox_spark-1.0-py3-none-any.whl, not '$wheel_uri'." ;; esac
[ -n "$pins_uri" ] && [ -n "$delta" ] || fail "the second argument must be a file of pins, such as s3://bucket/code/gpu.txt, and the third the version of delta-spark, such as 3.3.2."
[ -z "$index" ] || export PIP_INDEX_URL="$index"

folder="$(mktemp -d)"; trap 'rm -rf "$folder"' EXIT
fetch "$wheel_uri"; fetch "$pins_uri"

if has_gpu; then
    found="$(driver_major || :)"
    [ "${found:-0}" -ge "$MIN_DRIVER" ] || install_driver "$found"
    # It says on its standard output why it fails.
    told="$(nvidia-smi)" || fail "nvidia-smi does not run with driver $MIN_DRIVER: $told. Its open kernel module needs a GPU of Turing or newer (g4dn, g5, g6, p4, p5)."
    mount_cgroups
    extras=gpu,warc
else
    extras=warc
fi

install_python
say "installing prox_spark[$extras]"
# The driver, on a node without a GPU, reads the refiner's card from the hub. Delta's dependency pyspark is EMR's own.
install_packages --constraint "$folder/${pins_uri##*/}" "$folder/${wheel_uri##*/}[$extras]" huggingface_hub
install_packages --no-deps "delta-spark==$delta"
conf="$("$HOME_OF_PROX/env/bin/python" -c 'from prox_spark.paths import CONF; print(CONF)')"
install -m 755 "$conf/discover_gpus.sh" "$HOME_OF_PROX/discover_gpus.sh"
# YARN's containers run as another user than the driver.
sudo install -d -m 1777 "$DATA_OF_PROX" "$DATA_OF_PROX/cache" "$DATA_OF_PROX/huggingface" "$DATA_OF_PROX/home"
say "ready: $HOME_OF_PROX/env/bin/python"
