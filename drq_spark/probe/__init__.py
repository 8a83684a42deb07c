"""What SIDs are worth downstream: small generators and rankers that use them, trained on the user's own events."""

from drq_spark.idle_threads import let_idle_threads_sleep

let_idle_threads_sleep()  # before any module of this package loads torch, which reads the setting once
