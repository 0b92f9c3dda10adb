-- What operators say of their own stations, connectors and tariffs. The register is the authority's; this is not it.
create table declaration (
    operator_id text not null,
    kind text not null,
    entry_id text not null,
    body jsonb not null,
    message_index bigint not null references message (index),
    primary key (operator_id, kind, entry_id)
);
