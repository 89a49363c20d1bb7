"""The adviser: what a function is like, what each executor makes of it, and which one to take.

Measured on a map's first items, to choose while it runs:

probe        calls the function on a few items (useful work) and measures; what it found are
facts        the `Facts`
heartbeat    the thread beside it, that sees how much of the time the GIL is held
state        what a function could change as it runs, and whether it did
freight      what it takes to send items and results to another address space
costs        what each executor costs: figures with their source, corrected by what a run tells; the machine
model        predicts what each executor would make of it, from the facts
choice       compares predictions, chooses, judges the choice afterwards; says why, in words
here         which executors this machine has

Measured on every executor, to compare them:

comparing    `potok.compare`: its arguments, and whom to measure
bench        the order of the work, and how much time each part gets
measure      one run of the function over the sample: the plain loop, or a map on an executor
watching     what the system tells of a run: CPU time, peak memory, how late a thread gets the GIL
parcels      how big arguments and results are when pickled, and how long that takes
agreement    whether two results are the same
comparison   the figures, and the table that `str()` makes of them
amdahl       the serial fraction that a speed-up curve shows
verdict      which executor to take, and why, in plain words
units        numbers for people
report       the HTML page
chart        its pictures

`model`, `choice`, `comparison`, `amdahl`, `verdict`, `units`, `report` and `chart` are pure: figures in, text out.
"""
