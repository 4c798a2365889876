"""The histories that are known to break a promise, each with the fault that it shows. The list is to stay empty.

A test fails for every other history that breaks one, and for one of these that does not any more.
"""

BROKEN: dict[int, str] = {}
