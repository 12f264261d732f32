"""The recording folder: what is in it, how it is named, written and read; for the disk process and the user layer alike."""
