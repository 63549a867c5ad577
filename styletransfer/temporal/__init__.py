"""Stylized frames that stay steady: cuts, moments of scenes, and a blend along the motion of the content."""

from .frame import Frame
from .frame_conversion import convert_frames
from .frame_stylizer import FrameStylizer

__all__ = ["Frame", "FrameStylizer", "convert_frames"]
