"""The link to a host: bytes on a serial line, frames of bytes, images in and scores out (docs/boards.md)."""
