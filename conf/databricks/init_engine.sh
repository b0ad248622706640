#!/usr/bin/env bash
# Init script of the GPU cluster: an environment for the engine, beside the cluster's own Python and not in it.
#
# vLLM 0.32.0 pins torch 2.13.0, numba 0.65.0 and others, and brings some two hundred packages. Installed into /databricks/python they
# would replace what the runtime has of them, and with it what Spark's workers and the notebook import. Here the runtime's packages stay
# as they are: only the engine, a process of its own, runs in this environment. PROX_SPARK_ENGINE_PYTHON
# names it, and prox_spark itself comes from the job's wheel.
#
# Set in spark_env_vars, all optional:
#   PROX_SPARK_ENGINE_PYTHON         the environment is made there, DIR/bin/python; default /local_disk0/prox_spark/engine/bin/python
#   PROX_SPARK_BASE_PYTHON           made from this Python, 3.11 or newer; default /databricks/python3/bin/python3
#   PROX_SPARK_ENGINE_CONSTRAINTS    file of exact versions, such as a copy of conf/requirements/gpu.txt; without it the newest that fit
#   UV_DEFAULT_INDEX, PIP_INDEX_URL  package index, where PyPI can't be reached
#   VLLM_ENABLE_CUDA_COMPATIBILITY   1 for drivers older than CUDA 13's, with NVIDIA's cuda-compat in VLLM_CUDA_COMPATIBILITY_PATH
set -euo pipefail
umask 022

UV="uv==0.13.9"
# The pins of setup.py: the extra `gpu`, and what prox_spark needs beside vLLM.
PACKAGES=(
    "vllm==0.32.0" "peft>=0.21"
    "aiohttp>=3.10" "isal>=1.7" "lz4>=4.3" "numpy>=1.26" "orjson>=3.10" "pandas>=2.2,<3" "psutil>=5.9" "pyarrow>=15"
    "pydantic>=2.7" "pyyaml>=6.0" "rapidfuzz>=3.9" "rich>=13" "tokenizers>=0.20" "uvloop>=0.19" "zstandard>=0.22"
)
# torch 2.13 is built for CUDA 13.0. NVIDIA, CUDA 13.0 release notes, table 2: driver 580 or newer.
LEAST_DRIVER=580

python="${PROX_SPARK_BASE_PYTHON:-/databricks/python3/bin/python3}"
constraints="${PROX_SPARK_ENGINE_CONSTRAINTS:-}"
engine="${PROX_SPARK_ENGINE_PYTHON:-/local_disk0/prox_spark/engine/bin/python}"
venv="$(dirname "$(dirname "$engine")")"
tools="$venv.tools"
# The wheels of some packages hold an OpenSSL that ends the process at this variable of Runtime 19.
unset OPENSSL_FORCE_FIPS_MODE PYTHONPATH PYTHONHOME VIRTUAL_ENV

say() { printf 'init_engine.sh: %s\n' "$*"; }
fail() { printf 'init_engine.sh: %s\n' "$*" >&2; exit 1; }

check_gpu() {
    local driver
    driver="$(nvidia-smi --query-gpu=driver_version --format=csv,noheader)" || fail "nvidia-smi failed: $driver"
    driver="${driver%%$'\n'*}"
    if [ "${driver%%.*}" -lt "$LEAST_DRIVER" ] && [ "${VLLM_ENABLE_CUDA_COMPATIBILITY:-0}" != 1 ]; then
        fail "the NVIDIA driver is $driver, and vLLM with CUDA 13 needs $LEAST_DRIVER: take a newer runtime (19 ML has 580), or install cuda-compat-13-0 before this script and set VLLM_ENABLE_CUDA_COMPATIBILITY=1."
    fi
    say "NVIDIA driver $driver"
}

describe() { printf '%s %s\n' "$UV" "${PACKAGES[*]}"; [ -z "$constraints" ] || cat "$constraints"; }

is_installed() { [ -x "$engine" ] && [ "$(cat "$venv/.installed" 2>/dev/null)" = "$(describe)" ]; }

install() {
    local options=(--quiet --compile-bytecode --python "$engine")
    [ -z "$constraints" ] || options+=(--constraint "$constraints")
    [ -x "$python" ] || fail "there is no Python at $python: set PROX_SPARK_BASE_PYTHON."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed, $("$python" -V) is there: take Databricks Runtime 15 or newer."
    # uv lies beside the environment: nothing is added to the cluster's Python.
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$tools" --upgrade "$UV"
    "$tools/bin/uv" venv --quiet --clear --python "$python" "$venv"
    # With bytecode, because every engine would otherwise compile vLLM at its start.
    UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-https://pypi.org/simple}}" \
        "$tools/bin/uv" pip install "${options[@]}" "${PACKAGES[@]}"
    "$engine" -c 'from importlib.metadata import version; print("init_engine.sh: vLLM", version("vllm"), "and torch", version("torch"))'
    describe > "$venv/.installed"
}

if ! command -v nvidia-smi >/dev/null; then
    say "no GPU on this node (driver: ${DB_IS_DRIVER:-unknown}): nothing to install"
    exit 0
fi
check_gpu
[ -z "$constraints" ] || [ -r "$constraints" ] || fail "PROX_SPARK_ENGINE_CONSTRAINTS is $constraints, which can't be read: copy conf/requirements/gpu.txt there, or unset it."
if is_installed; then
    say "$venv is there"
else
    say "making $venv from $python"
    install
fi
