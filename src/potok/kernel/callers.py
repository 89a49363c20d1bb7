"""Which code is the user's, and which is potok's own: messages name the former."""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

__all__ = ["called_from", "users_frame"]

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def users_frame(frame: FrameType | None) -> FrameType | None:
    """This frame, or the nearest around it that is not potok's."""
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return frame


def called_from() -> tuple[CodeType, int]:
    """The code that has called potok, and where in it; of potok's own, where there is no other, who called you."""
    caller = sys._getframe(2)
    frame = users_frame(caller) or caller
    return frame.f_code, frame.f_lasti
