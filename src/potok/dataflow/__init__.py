"""Data through functions: `potok.map` and `potok.pipeline` over the primitives, as any client could have written it.

mapping    what users call to map, and the checks of its arguments
colour     whether a function is `async def`
results    the iterator they get, in both colours
intake     the input, as far as it is pulled
plan       what a map was asked to do; what becomes of an item under its function
inline     the plain loop
pooled     the window of items that are with the workers
crew       the workers, and the task that owns them
batched    the same for workers in other address spaces; they are led by a
dispatch   dispatcher, which knows what each of them has in hand; the
board      is what it shares with the caller; and they
serving    work on what it gives them
auto       the plain loop (`loop`) at first, then wherever a measurement shows that it pays off
records    a map with a journal
journal    the file in which the outcomes are
progress   how far it is, on a terminal (`bars`), in a notebook, in plain lines
pipeline   what users call to join maps, and its arguments
building   a pipeline as it is put together
line       its iterator, and the tasks that it is made of: the source and the stages
stages     a stage: a map, and what is done with its results on the spot
stream     what comes to a stage from the one before it, as the input of a map
futures    `concurrent.futures`' Executor over the same executors
agents     who makes the calls of such an executor
calls      what becomes of one call, here or elsewhere
joblib     its backend "potok"
arguments  what several of these are given, checked in one place
workload   what the workers of a stage do, where that is not the user's function alone
"""
