-- Findings of a place and day are looked up when the day is computed.
drop index finding_place;
create index finding_place on finding (place, at_utc_ms) where present;
