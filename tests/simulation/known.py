"""The histories that are known to break a promise, each with the fault that it shows. The list is to become empty.

A test fails for every other history that breaks one, and for one of these that does not any more.
"""

BROKEN: dict[int, str] = {
    3544: "a rotation makes good what a late change undid, and gives the name from before it to the new key",
    4180: "a key that its create has not found yet is rotated by a guessed id: the create takes the new key",
    4962: "two equal creates take up one lost create: the second is told of its key while the first stores it",
    7792: "making a lost change good is a write too: its own answer is lost, it comes late, and budget is missing",
    9226: "a refused change looks at the key once more without minding the call's deadline",
}
