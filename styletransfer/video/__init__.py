"""Videos: frames decoded, stylized and encoded, with everything else in the file kept.

`open_source` opens what is read, `plan_output` decides what is written, and `render_video` goes from one to
the other. PyAV is imported by `libav` alone, when it is needed.
"""

from .output_formats import VideoOutput, holds_pixel_aspect, plan_output
from .part_store import PartStore, find_part_folder
from .region_tracks import MaskTrack, RegionTracks
from .rendering import (
    RenderedVideo,
    RenderInterrupted,
    RenderPlan,
    describe_result,
    render_to_pipe,
    render_video,
)
from .sources import FrameSource, Selection, SourceFrame, SourceInfo, VideoFile, is_moving, open_source
from .stream_copying import Tags

__all__ = [
    "FrameSource",
    "MaskTrack",
    "PartStore",
    "RegionTracks",
    "RenderInterrupted",
    "RenderPlan",
    "RenderedVideo",
    "Selection",
    "SourceFrame",
    "SourceInfo",
    "Tags",
    "VideoFile",
    "VideoOutput",
    "describe_result",
    "find_part_folder",
    "holds_pixel_aspect",
    "is_moving",
    "open_source",
    "plan_output",
    "render_to_pipe",
    "render_video",
]
