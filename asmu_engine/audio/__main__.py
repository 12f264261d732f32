"""``python -m asmu_engine.audio``: started by a host, never by hand."""

import sys

from asmu_engine.audio.main import main

sys.exit(main())
