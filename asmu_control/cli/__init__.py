"""The command ``asmu``: one verb a file."""
