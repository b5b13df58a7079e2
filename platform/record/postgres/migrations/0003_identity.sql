-- By its id a data folder knows the database that its records are in.
ALTER TABLE galen.store ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid();
