"""What takes more than one call of the API.

core            what every service works with
identity        which account this is, whatever access token it is asked with
listing         the account's keys, in few calls for many who ask
matching        which row of the API is which create's; pure
create          making a key exactly once
finding         the row that a create made
progress        how far an operation has come
take_up         an earlier equal create, before another one is sent
reconcile       what earlier calls left open, for lists
delivery        whether a client was told
secrets         a key's value: read, stored, forgotten
update          changing a key, and what it may spend in all
key_writer      writing one key and reading it again
change_journal  changes in the journal, one server at a time for each key
rotate          replacing a key
retire          the end of the key that was replaced
verify          finding out whether a key works
quota           what may still be given out
"""
