"""The histories that are known to break a promise, each with the fault that it shows. The list is to become empty.

A test fails for every other history that breaks one, and for one of these that does not any more.
"""

BROKEN: dict[int, str] = {
    1019: "a machine with another journal rotates a key by a guessed id before its maker's list shows it",
    2293: "a budget that a write took is made good on a key of the console's that is past the policy's limit already",
    3136: "three changes of one key come late, one after the other, and what the last took is not given back",
    6282: "two machines rotate a key at once, nothing tells which new key is whose, and one of them rotates it again",
    7483: "a journal is locked until after a key was told of, so an equal create of another server is told of it too",
}
