-- Records, their versions and postings, the outbox, and the line that commits go through.
CREATE TABLE galen.store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    wrapped bytea NOT NULL, -- the data key of outbox messages
    key_arn text NOT NULL
);
CREATE TABLE galen.line (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL,    -- of the last commit
    at bigint NOT NULL,     -- its time
    pid bigint NOT NULL,    -- last given
    outbox bigint NOT NULL, -- last message
    space bigint NOT NULL   -- last given
) WITH (fillfactor = 20);
INSERT INTO galen.line (seq, at, pid, outbox, space) VALUES (0, 0, 0, 0, 0);
CREATE TABLE galen.space (
    id integer PRIMARY KEY,
    name text NOT NULL UNIQUE,
    wrapped bytea NOT NULL,
    key_arn text NOT NULL,
    ref_key text NOT NULL,
    context text NOT NULL
);
CREATE TABLE galen.dropped (space integer PRIMARY KEY);
CREATE TABLE galen.name (
    no smallint PRIMARY KEY,
    name text NOT NULL UNIQUE
);
CREATE TABLE galen.record (
    space integer NOT NULL,
    kind smallint NOT NULL,
    pid bigint NOT NULL,
    digest bytea NOT NULL,  -- of the id
    version bigint NOT NULL,
    deleted boolean NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    id bytea NOT NULL,      -- sealed
    entries bytea NOT NULL, -- sealed
    PRIMARY KEY (space, kind, pid),
    UNIQUE (space, kind, digest)
);
CREATE INDEX record_at ON galen.record (space, kind, at, pid) WHERE NOT deleted;
CREATE TABLE galen.version (
    space integer NOT NULL,
    kind smallint NOT NULL,
    pid bigint NOT NULL,
    version bigint NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    line integer,           -- its place in the commit; null: of a volatile kind, in no history
    body bytea,             -- sealed; null: a deletion
    PRIMARY KEY (space, kind, pid, version)
);
ALTER TABLE galen.version ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX version_history ON galen.version (space, kind, seq, line) WHERE line IS NOT NULL;
CREATE TABLE galen.posting (
    space integer NOT NULL,
    kind smallint NOT NULL,
    index smallint NOT NULL,
    value bytea NOT NULL,   -- hidden; of a long value its beginning
    pid bigint NOT NULL,
    part bytea NOT NULL,    -- the hidden end of a period, then of a long value 20 bytes of its hash
    rest bytea NOT NULL,    -- of a long value
    target bytea,           -- the digest of the id that a reference names
    PRIMARY KEY (space, kind, index, value, pid, part)
);
CREATE INDEX posting_record ON galen.posting (space, kind, pid, index);
CREATE INDEX posting_target ON galen.posting (space, kind, index, target, pid) WHERE target IS NOT NULL;
CREATE TABLE galen.outbox (
    seq bigint PRIMARY KEY,
    at bigint NOT NULL,
    message bytea NOT NULL  -- sealed
);
