-- Up to which number events were deleted because they are old: a reader that comes from before it is told so.
insert into counter (name, value) values ('events_forgotten', 0);
