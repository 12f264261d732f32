"""Devices: the list of sound devices, and what the chosen one gives.

Needs nothing; the chosen device plays a moment of silence. Shows ``query_devices`` and what a stream knows of its device.
"""

import asmu_control as asmu
from asmu_control.examples._common import options
from asmu_control.exceptions import DeviceError


def main() -> None:
    """List the devices, then run one."""
    parser = options(__doc__, device="virtual:inputs=4,outputs=2")
    args = parser.parse_args()

    try:
        print(asmu.query_devices() or "PortAudio knows no sound device.")
    except DeviceError as error:
        print(error)

    interface = asmu.Interface(device=args.device)
    interface.iinput(ch=1)
    interface.ioutput(ch=1)
    with interface.start():
        device = interface.stats()["device"]
    print(f"device: {device['name']} ({device['host_api']})")
    print(f"inputs: {device['max_inputs']}")
    print(f"outputs: {device['max_outputs']}")
    print(f"samplerate: {interface.samplerate} Hz")
    print(f"blocksize: {interface.blocksize} frames")
    print(f"latency as it says: {1000 * device['input_latency']:.1f} ms in, {1000 * device['output_latency']:.1f} ms out")


if __name__ == "__main__":
    main()
