"""The adviser: what a function is like, measured on its first items, and which executor pays off for it.

probe      calls the function on a few items (useful work) and measures; what it found are
facts      the `Facts`
heartbeat  the thread beside it, that sees how much of the time the GIL is held
state      what a function could change as it runs, and whether it did
freight    what it takes to send items and results to another address space
costs      what each executor costs: figures with their source, corrected by what a run tells; the machine
model      predicts each executor from the facts, chooses one, judges the choice afterwards; says why, in words
here       which executors this machine has
"""
