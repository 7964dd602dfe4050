"""Boxes, tiles, image codecs and drawing: pure numpy and OpenCV, no I/O beyond an image."""
