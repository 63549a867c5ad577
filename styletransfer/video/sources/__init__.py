"""Where frames come from: videos, animations, folders of pictures, pipes."""

from .frame_source import Damage, FrameSource, Selection, SourceFrame, SourceInfo
from .input_files import open_source
from .video_file import VideoFile, find_video, open_input

__all__ = [
    "Damage",
    "FrameSource",
    "Selection",
    "SourceFrame",
    "SourceInfo",
    "VideoFile",
    "find_video",
    "open_input",
    "open_source",
]
