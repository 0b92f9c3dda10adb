-- Running totals, so that no page has to count a table of millions. Messages are counted by the statement that moves
-- log_head (store/messages.py); the others by the triggers below, in the transaction that changes them.
-- `slot` spreads a total over rows of its own for some connections, so that writers seldom wait for one another.
create table total (
    name text not null,
    label text not null,
    slot smallint not null,
    value bigint not null,
    primary key (name, label, slot)
) with (fillfactor = 50);

-- Arguments: a condition on the rows that count, then a name and a column for each total.
create function count_total() returns trigger language plpgsql as $$
declare
    changed text := '';
    my_slot integer := pg_backend_pid() % 16;
begin
    -- Of writers in one slot of one table, one goes on at a time: two could else wait for each other's rows.
    perform pg_advisory_xact_lock(tg_relid::integer, my_slot);
    if tg_op in ('INSERT', 'UPDATE') then
        changed := 'select 1 as by, * from newer';
    end if;
    if tg_op = 'UPDATE' then
        changed := changed || ' union all ';
    end if;
    if tg_op in ('UPDATE', 'DELETE') then
        changed := changed || 'select -1 as by, * from older';
    end if;
    for i in 1 .. tg_nargs - 2 by 2 loop
        execute format(
            'insert into total select %L, %I::text, %s, sum(by) from (%s) changed where %s group by 2'
            ' having sum(by) <> 0 order by 2'
            ' on conflict (name, label, slot) do update set value = total.value + excluded.value',
            tg_argv[i], tg_argv[i + 1], my_slot, changed, tg_argv[0]
        );
    end loop;
    return null;
end $$;

create trigger verdict_added after insert on verdict referencing new table as newer
    for each statement execute function count_total('present', 'verdicts', 'state');
create trigger verdict_changed after update on verdict referencing old table as older new table as newer
    for each statement execute function count_total('present', 'verdicts', 'state');
create trigger verdict_gone after delete on verdict referencing old table as older
    for each statement execute function count_total('present', 'verdicts', 'state');
create trigger finding_added after insert on finding referencing new table as newer
    for each statement execute function count_total('present', 'findings', 'rule', 'severities', 'severity');
create trigger finding_changed after update on finding referencing old table as older new table as newer
    for each statement execute function count_total('present', 'findings', 'rule', 'severities', 'severity');
create trigger finding_gone after delete on finding referencing old table as older
    for each statement execute function count_total('present', 'findings', 'rule', 'severities', 'severity');
create trigger refused_added after insert on refused referencing new table as newer
    for each statement execute function count_total('true', 'refused', 'door');
create trigger refused_gone after delete on refused referencing old table as older
    for each statement execute function count_total('true', 'refused', 'door');
create trigger deviation_added after insert on deviation referencing new table as newer
    for each statement execute function count_total('true', 'deviations', 'kind');
create trigger deviation_gone after delete on deviation referencing old table as older
    for each statement execute function count_total('true', 'deviations', 'kind');

insert into total
    select 'messages', kind, 0, count(*) from message group by kind
    union all select 'conflicts', 'all', 0, count(*) from message where conflicts_with is not null
    union all select 'verdicts', state, 0, count(*) from verdict where present group by state
    union all select 'findings', rule, 0, count(*) from finding where present group by rule
    union all select 'severities', severity, 0, count(*) from finding where present group by severity
    union all select 'refused', door, 0, count(*) from refused group by door
    union all select 'deviations', kind, 0, count(*) from deviation group by kind;
