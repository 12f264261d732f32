"""The host: binds the clients' endpoints, owns the patch, starts and watches the audio and disk processes."""
