"""``python -m asmu_control``: the same as the command ``asmu``."""

from asmu_control.cli.main import main

if __name__ == "__main__":
    main()
