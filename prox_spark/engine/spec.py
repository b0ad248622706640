"""What engine is wanted: model and settings. Equal specs on an executor share one engine."""

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
from prox_spark.errors import EngineStartError
from prox_spark.fingerprint import fingerprint
from prox_spark.paths import cache_directory
from prox_spark.refiners import Refiner

MODEL_NAME = "refiner"
# How an engine is asked, waited for and started again. With others of these it is the same engine.
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
        refiner: whose weights.
        config: the engine section of the recipe.
    """

    refiner: Refiner
    config: EngineConfig

    @property
    def key(self) -> str:
        """Equal for tasks that share an engine: those with another GPU have another one."""
        return fingerprint(self.settings_key, self.gpus)

    @property
    def settings_key(self) -> str:
        """Equal for engines that serve the same model in the same way."""
        settings = self.config.model_dump(exclude=_CLIENT_SETTINGS)
        takes_adapters = self.adapter is not None
        return fingerprint(self.served.model_fingerprint, takes_adapters, self.refiner.card.context_tokens, settings)

    @property
    def adapter(self) -> Path | None:
        """The adapter that is served beside its base; None where the weights are those of the refiner."""
        return self.refiner.adapter if self.config.max_lora_rank else None

    @property
    def served(self) -> Refiner:
        """Whose weights the engine holds. Refiners that are adapters of one base share it."""
        return self.refiner.bare if self.adapter else self.refiner

    @property
    def model_name(self) -> str:
        """How requests name the refiner."""
        return self.refiner.model_fingerprint if self.adapter else MODEL_NAME

    @property
    def gpus(self) -> tuple[str, ...]:
        """Addresses, in order, of the GPUs that Spark assigned to the running task; none on CPU or without GPU scheduling.

        Raises:
            EngineStartError: they are not as many as an engine uses.
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
        """Cuda or cpu, decided on the executor."""
        return detect_device() if self.config.device == "auto" else self.config.device

    @property
    def window_size(self) -> int:
        """Requests in flight."""
        return math.ceil(self.config.window_factor * self.config.max_num_seqs)

    def build_command(self, model: Path, socket: Path) -> list[str]:
        """The command line of `prox_spark.engine.process.server`.

        By `-m` each process that vLLM spawns would import the server again. vLLM comes before it: it sets up torch's environment,
        and a fake of it that is on the path takes over there.
        """
        config = self.config
        arguments = [sys.executable, "-c", "import vllm; from prox_spark.engine.process.server import main; main()"]
        arguments += ["--model", str(model), "--served-model-name", MODEL_NAME, "--uds", str(socket)]
        arguments += ["--dtype", self._dtype(), "--max-model-len", str(self.refiner.card.context_tokens)]
        arguments += ["--max-num-seqs", str(config.max_num_seqs), "--max-logprobs", "2"]
        # The model's own sampling defaults would be another setting that no fingerprint knows.
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
            # Two, for the stages of a run; whoever connects loads its own.
            arguments += ["--enable-lora", "--max-loras", "2", "--max-lora-rank", str(config.max_lora_rank)]
        return arguments + config.extra_args

    @property
    def max_num_seqs(self) -> int:
        """Sequences that the server decodes at once: further arguments win over the field."""
        given = re.findall(r"--max-num-seqs[= ](\d+)", " ".join(self.config.extra_args))
        return int(given[-1]) if given else self.config.max_num_seqs

    @property
    def compiles(self) -> bool:
        """Is the model compiled at start."""
        return self.config.compile if self.config.compile is not None else self.device == "cuda"

    def build_environment(self, gpus: Sequence[str] = ()) -> dict[str, str]:
        """The server's whole environment, set before torch is imported.

        Args:
            gpus: addresses that Spark assigned.
        """
        environment = dict(os.environ)
        # The worker's own path: with --py-files or an archive the package is nowhere else.
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        environment |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
        # What torch compiles lies where temporary files are, and an engine's go with it. Eager engines compile a little, too.
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_directory() / "inductor"))
        # Spark sets it to the cores of a task for numpy's sake; the engine has its own binding.
        environment.pop("OMP_NUM_THREADS", None)
        if self.device == "cpu":
            environment |= build_cpu_binding(find_owner(), self.config.cpu_cores)
            binding = environment["VLLM_CPU_OMP_THREADS_BIND"]
            # Cores of several ranks, as `extra_args` may ask for, are for vLLM to hand out.
            if self.config.tensor_parallel_size == 1 and "|" not in binding:
                environment |= _keep_in_one_process(binding)
            return environment
        # GPUs are numbered as nvidia-smi numbers them, which is where Spark has the addresses from.
        environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        if devices := choose_visible_devices(gpus, os.environ.get("CUDA_VISIBLE_DEVICES")):
            environment["CUDA_VISIBLE_DEVICES"] = devices
        return environment

    def _dtype(self) -> str:
        if self.config.dtype == "auto" and self.device == "cpu":
            return choose_cpu_dtype()
        return self.config.dtype


def _keep_in_one_process(binding: str) -> dict[str, str]:
    """Leaves vLLM's scheduler and model in the server's process, not in others, which import vLLM once more and are waited for at every step.

    vLLM has workers on a CPU because it sets their OpenMP variables when it starts them. These are set here, for the whole server,
    whose own threads are confined to the same cores with it.
    Source: vLLM 0.32, v1/engine/llm_engine.py, platforms/cpu.py, utils/ompmultiprocessing.py.
    """
    return {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"} | build_openmp_binding(binding)
