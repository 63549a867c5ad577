"""Videos: frames decoded, stylized and encoded, with everything else in the file kept.

`open_source` opens what is read, `plan_output` decides what is written, and `render_video` goes from one to
the other. PyAV is imported by `libav` alone, when it is needed.
"""

from .frame_source import FrameSource, SourceFrame, SourceInfo
from .input_files import open_source
from .output_formats import VideoOutput, plan_output
from .rendering import RenderedVideo, render_video

__all__ = [
    "FrameSource",
    "RenderedVideo",
    "SourceFrame",
    "SourceInfo",
    "VideoOutput",
    "open_source",
    "plan_output",
    "render_video",
]
