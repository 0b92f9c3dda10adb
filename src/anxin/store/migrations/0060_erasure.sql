-- Erasure: a message's bytes and salt go together; its entry stays. What judging kept of the person goes as well.
alter table message add constraint message_erased_wholly
    check ((payload is null) = (salt is null) and (payload is not null or envelope is null)) not valid;

-- Transactions of which a record was erased: their facts stand as they are, without the user, for ever.
create table erased_transaction (
    transaction_key text primary key,
    message_index bigint not null references message (index)
);
-- A judge that decoded the record before it was erased must not bring the user back.
create function without_erased_user() returns trigger language plpgsql as $$
begin
    if exists (select 1 from erased_transaction e where e.transaction_key = new.transaction_key) then
        new.user_ref := null;
    end if;
    return new;
end $$;
create trigger fact_record_user before insert on fact_record
    for each row when (new.user_ref is not null) execute function without_erased_user();
