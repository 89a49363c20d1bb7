"""Data through functions: `potok.map` over the primitives, as any client could have written it.

mapping    what users call, and the checks of its arguments
results    the iterator they get, in both colours
inline     the plain loop
pooled     the window of items that are with the workers
batched    the same, with batches, for workers in other processes
crew       the workers, and the task that owns them
progress   how far it is, in plain lines
"""
