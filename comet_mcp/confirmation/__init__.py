"""A person's yes: the gate that tools pass, and how the person is asked."""
