"""``python -m asmu_engine.audio``: started by a host, never by hand."""

import os

from asmu_engine.audio.main import main

# Everything is closed by now. The interpreter's own end would run PortAudio's, which hangs for minutes when a sound
# server has died under the stream.
os._exit(main())
