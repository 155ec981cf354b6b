"""Formats only: one small command for each way between masks, COCO json, txt lines and csv labels."""
