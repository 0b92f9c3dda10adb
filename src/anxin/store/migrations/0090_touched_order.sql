-- What waits longest is judged first: a backlog of old days must not hold up what came a second ago, nor the other way.
alter table touched add column noted bigint generated always as identity;
