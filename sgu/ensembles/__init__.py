"""Ensembles: networks that are trained once, and of which only the logits are kept."""
