"""The main job as a demonstration: play, record, check every sample, while Python beside it does its worst."""
