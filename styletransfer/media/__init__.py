"""Picture files: the only place where pixels enter and leave the program."""

from PIL.Image import Image as PILImage

from .formats import check_writable_format, readable_extensions, unreadable_extensions, writable_extensions
from .picture import PhotoMetadata, Picture, resize_picture
from .reading import picture_from_pil, read_photo_metadata, read_picture, read_recorded_settings
from .writing import picture_to_pil, write_picture

__all__ = [
    "PILImage",
    "PhotoMetadata",
    "Picture",
    "check_writable_format",
    "picture_from_pil",
    "picture_to_pil",
    "read_photo_metadata",
    "read_picture",
    "read_recorded_settings",
    "readable_extensions",
    "resize_picture",
    "unreadable_extensions",
    "writable_extensions",
    "write_picture",
]
