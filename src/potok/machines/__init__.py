"""The state machines: everything that waits or makes wait, as pure state. No clock, thread, socket, randomness, I/O."""
