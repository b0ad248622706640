"""A FAKE vLLM. The server of an engine that imports it becomes the fake server and never comes back."""

import os

from vllm.server import main

main()
os._exit(0)
