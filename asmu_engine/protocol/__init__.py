"""The contract with the clients: requests, edits, catalogue, codec, errors, version. Imports nothing of ours."""
