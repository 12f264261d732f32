"""Real time: core base classes, schedule, mailbox, the block runner that a device calls, scheduling of its thread."""
