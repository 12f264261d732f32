"""The relay: taps of an engine, published to clients on other machines; and what both of its ends have in common."""
