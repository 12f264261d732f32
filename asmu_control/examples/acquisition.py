"""Acquisition: record for long into a folder, with an account of every frame.

Needs nothing: the virtual device loses some frames on the way, as a real one might, and the ledger names them. For a
recording that outlives the script, start an engine and let it keep it:

    asmu engine start lab --autostart
    asmu record --engine lab --channels 1-8 --rollover 1h --out friday --keep

Here it ends after some seconds. The folder can be checked with `asmu verify DIR`.

    python -m asmu_control.examples.acquisition --out friday --seconds 10
"""

import json
import time
from pathlib import Path

import asmu_control as asmu
from asmu_control.examples._common import options


def main() -> None:
    """Record, lose something, and read what the ledger says of it."""
    parser = options(__doc__, device="virtual:inputs=2,noise_dbfs=-40", seconds=4)
    parser.add_argument("--out", type=Path, default=Path("acquisition"), help="the recording folder, which is made")
    args = parser.parse_args()

    with asmu.Interface(device=args.device, samplerate=48_000, blocksize=256) as interface:
        interface.iinput(ch=1, name="microphone 1", cPa=12.5)
        interface.iinput(ch=2, name="microphone 2", cPa=11.8)
        # A new segment every second of the clock here; for a real one rollover="1h".
        recording = interface.record(args.out, rollover="1s", aligned=True, seconds=args.seconds)
        interface.start(drop=0)
        time.sleep(args.seconds / 2)
        if args.device.startswith("virtual"):
            interface.fault("lose", frames=100)
        recording.wait(args.seconds + 30)
        status = recording.stop()

    print(f"{status['frames']} frames of {status['channels']} channels in {status['segments']} segments")
    print(f"{status['lost_frames']} frames are missing")
    with (args.out / "ledger.jsonl").open() as ledger:
        for entry in map(json.loads, ledger):
            if entry["entry"] == "gap":
                print(f"  from frame {entry['position']} on {entry['frames']}: {entry['cause']}")
    for file in sorted(args.out.glob("*.wav")):
        print(file.name)


if __name__ == "__main__":
    main()
