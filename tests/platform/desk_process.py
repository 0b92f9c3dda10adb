"""A desk in a process of its own, for tests that kill it: python -m tests.platform.desk_process URL DATA."""

import sys
import threading
from pathlib import Path

from anxin.assembly import open_platform
from anxin.flow.desk import desk_for_ever
from anxin.settings import Settings

if __name__ == "__main__":
    desk_for_ever(open_platform(Settings(data_dir=Path(sys.argv[2])), sys.argv[1]), threading.Event())
