"""Scenery of infrared sequences: grounds, seas, buildings, skies, plants, and what stands in them."""
