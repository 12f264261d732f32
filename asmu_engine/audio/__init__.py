"""The audio process: control thread, builder of schedules, device."""
