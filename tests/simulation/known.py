"""The histories that are known to break a promise, each with the fault that it shows. The list is to become empty.

A test fails for every other history that breaks one, and for one of these that does not any more.
"""

BROKEN: dict[int, str] = {
    7792: "what makes a lost change good is a write too; where its own answer is lost and the API carries it out late, "
    "the key has less than it was given, and no later change makes that good",
}
