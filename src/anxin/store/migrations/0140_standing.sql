-- What verdicts and findings were given under, in full: they name policy (digest) and software, and texts change.
create table standing (
    policy text not null,
    software text not null,
    policy_body jsonb not null,
    rules_body jsonb not null,
    primary key (policy, software)
);
