"""The executors: how a task is launched, and what carries it. One file each; none knows another."""
