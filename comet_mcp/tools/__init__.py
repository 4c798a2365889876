"""The tools, one plain function each. `server.py` registers them."""
