"""A FAKE vLLM. An engine's server that imports it becomes the fake server, and the import never returns."""

import os

from vllm.server import main

main()
os._exit(0)
