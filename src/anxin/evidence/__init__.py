"""The evidence log: an append-only Merkle log in the C2SP formats. The auditor shares no code with the writer.

Whoever can write the database and holds the log's key can at most refuse to take messages in, or fork the log; a fork
is seen by any witness and by anyone who compares two checkpoints. He cannot alter or drop what was once witnessed.
"""
