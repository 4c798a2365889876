"""The audit trail: what was changed, when, by which client, and how it ended.

Two rows of the journal for each writing call: one is on disk before anything is changed, the other follows the
outcome. A call whose second row is missing never ended: its server was killed. Calls that were refused before they
could change anything need no first row, and share one: whoever repeats them must not fill the disk.

    refused  time, and of calls that were refused or asked about before they changed anything: tool, outcome, client,
             how many (count), the times of the first and the last, and the last one's arguments, shortened
    begin    time, account, tool, the arguments that the caller gave, key id, client
    end      time, the number of the row that began it, outcome (ok, nothing_done where all was so already, or an
             error's code), id of the key that was made, the key's name (before the call, where it had one), the
             person's answer, the policy's verdict where it refused, and the whole arguments where they were shortened
             and the call may have changed something
    settled  time, account, id and name of a key that a create made whose answer was lost; a list has found it, and its
             value went where values go
    pruned   time, up to which row older ones were dropped, how many, and the last one's hash

Rows are numbered without a gap, and each carries the SHA-256 of the hash before it, its number and its entry: what is
cut out, altered, moved or put in is found. This tells of accidents and careless hands. Somebody who rewrites the whole
file can make a chain that holds; only a hash that was kept elsewhere shows that.

Written by `trail` and `refusals`, without secrets (`redaction`); kept whole by `chain`; read as calls by `calls`.
"""
