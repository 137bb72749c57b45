"""Faces in frames: found, followed into tracks, chosen, aligned to crops and measured."""
