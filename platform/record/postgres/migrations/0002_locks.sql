-- What several servers need of each other: the last commit under each named lock, and the tokens of commits whose answer may have been lost.
CREATE TABLE galen.lock (
    slot integer PRIMARY KEY,
    seq bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE galen.settled (
    token uuid PRIMARY KEY,
    made timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX settled_made ON galen.settled (made);
