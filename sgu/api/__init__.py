"""The library: unlearning, the game and the audit for any network, data and training loop."""
