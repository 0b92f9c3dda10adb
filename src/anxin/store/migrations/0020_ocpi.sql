-- The present state of what operators push over OCPI, for PATCH and GET. Evidence are the messages; this can be made anew.
create table ocpi_object (
    operator_id text not null,
    module text not null check (module in ('locations', 'sessions', 'tariffs')),
    country_code text not null,
    party_id text not null,
    object_id text not null,      -- in capitals: ids do not tell case
    state text not null,          -- JSON with exact numbers (formats/ocpi_tree.py)
    message_index bigint not null references message (index),
    primary key (operator_id, module, country_code, party_id, object_id)
);
