-- What the faces' own database roles (store/rights.sql) need that no grant can say.

-- The tenant that a transaction of the outer role is for; null: none was set, and no row is anybody's.
create function tenant() returns text language sql stable as $$ select nullif(current_setting('anxin.tenant', true), '') $$;

-- What the tenant itself sent. The outer role may not read the column: it keeps messages and cannot read them again.
create function own_payload(of_index bigint) returns bytea
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select payload from message where index = of_index and sender = tenant()
$$;
revoke execute on function own_payload(bigint) from public;

-- How many operators did not answer the last question, by kind of question: for the status page, which names nobody.
create view silent_operators as
    select what, count(*) filter (where failures > 0) as silent from pull group by what;

-- Running totals count for whoever writes, whatever he may read.
alter function count_total() security definer set search_path = pg_catalog, public, pg_temp;
