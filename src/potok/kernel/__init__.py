"""The seam: what an executor is, and what every primitive stands on.

An executor is whatever can start a task, park the current one, wake a parked one and tell the time (`seam.Kernel`).
Everything else here is shared by all of them: the task, the guard around a machine, the way an operation parks and
comes back (`parking`), cancellation (`cancelling`), the stream of events, and the root that owns what runs.
"""
