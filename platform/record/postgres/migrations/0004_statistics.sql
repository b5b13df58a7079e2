-- The planner must know that one space and one index are little of a table, or much.
CREATE STATISTICS galen.record_of (ndistinct, mcv) ON space, kind, deleted FROM galen.record;
CREATE STATISTICS galen.posting_of (ndistinct, mcv) ON space, kind, index FROM galen.posting;
ALTER TABLE galen.record SET (autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE galen.posting SET (autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE galen.version SET (autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE galen.line SET (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
