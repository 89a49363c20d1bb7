"""Everything that has a home and can be referred to from elsewhere: importing this makes it known, to pickle too."""

from potok.remote import channels, choosing, flowing, flows, looking, scopes, shared, suspecting, sync, tasks
from potok.remote.home import register

__all__ = [
    "channels",
    "choosing",
    "flowing",
    "flows",
    "looking",
    "scopes",
    "shared",
    "suspecting",
    "sync",
    "tasks",
]

register()
