"""Formats only: one small command for each way between masks, COCO json and txt lines."""
