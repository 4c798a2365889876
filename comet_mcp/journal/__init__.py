"""The journal: what all servers of a user have to remember together, without any secret in it.

base        what a use of the journal is: a step that reads, decides and writes
operations  creates, rotations and changes: their states, and the only allowed transitions
queries     the steps themselves that are not one service's own
sqlite      the steps carried out on one SQLite file
migrations  every schema there was, and the way from each to the next
"""
