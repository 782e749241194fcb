"""Construct, call and compare the layer of one case on this process's backend. Every check works with these modules."""
