"""The engine that a stage wants: model and settings. Equal specs on an executor share one engine."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prox_spark.config import EngineConfig
from prox_spark.engine.host.cores import build_cpu_binding, build_openmp_binding
from prox_spark.engine.host.device import choose_cpu_dtype, choose_visible_devices, detect_device, read_assigned_gpus
from prox_spark.engine.host.executor import find_owner
from prox_spark.engine.host.interpreter import find_engine_python
from prox_spark.errors import EngineStartError
from prox_spark.fingerprint import fingerprint
from prox_spark.paths import cache_directory
from prox_spark.refiners import Refiner

MODEL_NAME = "refiner"
# Settings of how clients ask, wait for and restart an engine. They do not tell engines apart.
_CLIENT_SETTINGS = {
    "window_factor",
    "request_seconds",
    "start_seconds",
    "hang_seconds",
    "max_restarts",
    "max_crashing_prompts",
    "side_by_side",
    "endpoint",
    "endpoint_model",
    "endpoint_key_variable",
    "endpoint_tries",
}


@dataclass(frozen=True)
class EngineSpec:
    """A model under given settings.

    Args:
        refiner: the refiner that answers.
        config: the engine section of the recipe.
    """

    refiner: Refiner
    config: EngineConfig

    @property
    def key(self) -> str:
        """Fingerprint that is equal for tasks that share an engine. Tasks with another GPU have another engine."""
        return fingerprint(self.settings_key, self.gpus)

    @property
    def settings_key(self) -> str:
        """Fingerprint that is equal for engines that serve the same model in the same way."""
        settings = self.config.model_dump(exclude=_CLIENT_SETTINGS)
        takes_adapters = self.adapter is not None
        return fingerprint(self.served.model_fingerprint, takes_adapters, self.refiner.card.context_tokens, settings)

    @property
    def adapter(self) -> Path | None:
        """The adapter that is served beside its base; None where the engine holds the refiner's own weights."""
        return self.refiner.adapter if self.config.max_lora_rank else None

    @property
    def served(self) -> Refiner:
        """The refiner whose weights the engine holds. Adapters of one base share an engine of that base."""
        return self.refiner.bare if self.adapter else self.refiner

    @property
    def model_name(self) -> str:
        """Name of the refiner in requests."""
        return self.refiner.model_fingerprint if self.adapter else MODEL_NAME

    @property
    def gpus(self) -> tuple[str, ...]:
        """Sorted addresses of the GPUs that Spark assigned to the running task; empty on CPU or without GPU scheduling.

        Raises:
            EngineStartError: Spark assigned another number of GPUs than an engine uses.
        """
        gpus = tuple(sorted(read_assigned_gpus())) if self.device == "cuda" else ()
        n_used = self.config.tensor_parallel_size
        if gpus and len(gpus) != n_used:
            raise EngineStartError(
                f"Spark assigned {len(gpus)} GPUs to a task and engine.tensor_parallel_size is {n_used}: set "
                f"spark.task.resource.gpu.amount to {n_used if n_used > 1 else '1 or a fraction'}, or the field to the GPUs of a task"
            )
        return gpus

    @property
    def device(self) -> str:
        """`cuda` or `cpu`, decided on the executor."""
        return detect_device() if self.config.device == "auto" else self.config.device

    @property
    def window_size(self) -> int:
        """Most requests in flight at once, of all slots together."""
        return math.ceil(self.config.window_factor * self.config.max_num_seqs)

    def build_command(self, model: Path, socket: Path) -> list[str]:
        """Return the command line of `prox_spark.engine.process.server`.

        With `-m`, each process that vLLM spawns would import the server again. vLLM is imported first, because it sets
        up torch's environment, and because the tests' fake of it takes over at that import.
        """
        config = self.config
        arguments = [
            find_engine_python(),
            "-c",
            "import vllm; from prox_spark.engine.process.server import main; main()",
        ]
        arguments += ["--model", str(model), "--served-model-name", MODEL_NAME, "--uds", str(socket)]
        arguments += ["--dtype", self._dtype(), "--max-model-len", str(self.refiner.card.context_tokens)]
        arguments += ["--max-num-seqs", str(config.max_num_seqs), "--max-logprobs", "2"]
        # The model's own sampling defaults would be settings that no fingerprint includes.
        arguments += ["--generation-config", "vllm"]
        if config.max_num_batched_tokens:
            arguments += ["--max-num-batched-tokens", str(config.max_num_batched_tokens)]
        if self.device == "cpu":
            arguments += ["--kv-cache-memory-bytes", str(int(config.cpu_kv_cache_gib * 2**30))]
        else:
            arguments += ["--gpu-memory-utilization", str(config.gpu_memory_fraction)]
        if not self.compiles:
            arguments.append("--enforce-eager")
        if config.quantization:
            arguments += ["--quantization", config.quantization]
        if config.tensor_parallel_size > 1:
            arguments += ["--tensor-parallel-size", str(config.tensor_parallel_size)]
        if config.prefix_caching is not None:
            arguments.append("--enable-prefix-caching" if config.prefix_caching else "--no-enable-prefix-caching")
        if self.adapter:
            # One for each stage of a run. Each slot loads its own adapter when it connects.
            arguments += ["--enable-lora", "--max-loras", "2", "--max-lora-rank", str(config.max_lora_rank)]
        return arguments + config.extra_args

    @property
    def max_num_seqs(self) -> int:
        """Sequences that the server decodes at once. `extra_args` win over the field."""
        given = re.findall(r"--max-num-seqs[= ](\d+)", " ".join(self.config.extra_args))
        return int(given[-1]) if given else self.config.max_num_seqs

    @property
    def compiles(self) -> bool:
        """True if the model is compiled at start."""
        return self.config.compile if self.config.compile is not None else self.device == "cuda"

    def build_environment(self, gpus: Sequence[str] = ()) -> dict[str, str]:
        """Return the server's whole environment, as it must be before torch is imported.

        Args:
            gpus: addresses that Spark assigned.
        """
        environment = dict(os.environ)
        # The worker's own path, because with --py-files or an archive the package lies only there.
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        environment |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
        # By default torch caches what it compiles among the temporary files, which an engine's end removes. Eager
        # engines also compile a little.
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_directory() / "inductor"))
        # Spark sets it to the cores of a task for numpy. The engine has its own binding.
        environment.pop("OMP_NUM_THREADS", None)
        if self.device == "cpu":
            environment |= build_cpu_binding(find_owner(), self.config.cpu_cores)
            binding = environment["VLLM_CPU_OMP_THREADS_BIND"]
            # With several ranks, as `extra_args` may ask for, vLLM distributes the cores.
            if self.config.tensor_parallel_size == 1 and "|" not in binding:
                environment |= _keep_in_one_process(binding)
            return environment
        # Number GPUs as nvidia-smi does, because Spark's addresses come from it.
        environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        if devices := choose_visible_devices(gpus, os.environ.get("CUDA_VISIBLE_DEVICES")):
            environment["CUDA_VISIBLE_DEVICES"] = devices
        return environment

    def _dtype(self) -> str:
        if self.config.dtype == "auto" and self.device == "cpu":
            return choose_cpu_dtype()
        return self.config.dtype


def _keep_in_one_process(binding: str) -> dict[str, str]:
    """Return variables that keep vLLM's scheduler and model in the server's process.

    Processes of their own would import vLLM once more, and the server would wait for them at every step. vLLM uses
    workers on a CPU only to set their OpenMP variables at their start. Here these variables are set for the whole
    server, which confines its own threads to the same cores. Source: vLLM 0.32, v1/engine/llm_engine.py,
    platforms/cpu.py, utils/ompmultiprocessing.py.
    """
    return {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"} | build_openmp_binding(binding)
