"""Executors with a GPU: it makes the products of the search for codes, and all that decides stays with the processor.

`gpu_tasks` is what the driver asks, `gpu_tasks_worker` what a task does, `torch_products` what a GPU does. Torch is
loaded on executors alone, and only where `assign.device` is gpu.
"""
