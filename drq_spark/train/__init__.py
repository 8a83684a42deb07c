"""Training, on the driver: one file for each tokenizer, and a registry by name."""

from drq_spark.idle_threads import let_idle_threads_sleep

let_idle_threads_sleep()  # before any module of this package loads torch, which reads the setting once
