-- Numbers by which deviations and declarations are paged.
alter table deviation add column deviation_id bigint generated always as identity;
create unique index deviation_number on deviation (deviation_id);
create index deviation_sender_number on deviation (sender, deviation_id);
alter table declaration add column declaration_id bigint generated always as identity;
create unique index declaration_number on declaration (declaration_id);
