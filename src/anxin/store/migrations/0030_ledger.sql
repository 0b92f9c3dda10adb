-- The failed-write ledger: what a refused piece needs besides its payload to be read again (the mapping of a table),
-- and when it was put right.
alter table refused add column envelope bytea;
alter table refused add column corrected_utc_ms bigint;
create index refused_message on refused (sender, message_id) where message_id is not null;
