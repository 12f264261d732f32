"""Devices as classes, for ``Interface(device=…)``; each has a text form too, see `asmu_engine.protocol.device`.

>>> from asmu_control.device import VirtualDevice
>>> VirtualDevice(inputs=1, outputs=2, delay_frames=128).text()
'virtual:inputs=1,delay_frames=128'
"""

from asmu_engine.protocol.device import File as FileDevice
from asmu_engine.protocol.device import Offline as OfflineDevice
from asmu_engine.protocol.device import PortAudio as PortAudioDevice
from asmu_engine.protocol.device import Virtual as VirtualDevice
from asmu_engine.protocol.device import parse_device

__all__ = ["FileDevice", "OfflineDevice", "PortAudioDevice", "VirtualDevice", "parse_device"]
