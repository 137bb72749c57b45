-- What a statement from a stranger finds under the names of tables that tell of this machine: where datasets lie, settings
-- of runs, errors with paths in them. The views are temporary and found first; statements cannot name a schema.

-- a message with the folders of absolute paths left out
CREATE TEMP MACRO without_folders(message) AS
    regexp_replace(message, '(^|[^\w.%/-])/(?:[^/\s:''"]+/)+', '\1.../', 'g');

CREATE TEMP VIEW sources AS
SELECT * REPLACE (NULL::VARCHAR AS root, NULL::VARCHAR AS config, NULL::VARCHAR[] AS notes, NULL::VARCHAR[] AS warnings)
FROM catalog.main.sources;

-- of run.json what the views trained_on and metrics read: they find this view too
CREATE TEMP VIEW runs AS
SELECT * REPLACE (
    without_folders(json_object('splits', record::JSON -> 'splits', 'metrics', record::JSON -> 'metrics')::VARCHAR)
        AS record
)
FROM catalog.main.runs;

CREATE TEMP VIEW splits AS SELECT * REPLACE (NULL::VARCHAR AS card) FROM catalog.main.splits;

CREATE TEMP VIEW corrections AS SELECT * REPLACE (NULL::VARCHAR AS who) FROM catalog.main.corrections;

CREATE TEMP VIEW aliases AS SELECT * REPLACE (without_folders(said_by) AS said_by) FROM catalog.main.aliases;

CREATE TEMP VIEW metrics AS SELECT * REPLACE (without_folders(reason) AS reason) FROM catalog.main.metrics;

CREATE TEMP VIEW packed AS
SELECT * REPLACE (
    without_folders(reason) AS reason,
    list_transform(missing, lambda m: {frame_index: m.frame_index, reason: without_folders(m.reason)}) AS missing
)
FROM catalog.main.packed;

CREATE TEMP VIEW attempts AS
SELECT * REPLACE (
    without_folders(reason) AS reason,
    list_transform(missing, lambda m: {frame_index: m.frame_index, reason: without_folders(m.reason)}) AS missing
)
FROM catalog.main.attempts;

CREATE TEMP VIEW current_attempts AS
SELECT * REPLACE (
    without_folders(reason) AS reason,
    list_transform(missing, lambda m: {frame_index: m.frame_index, reason: without_folders(m.reason)}) AS missing
)
FROM catalog.main.current_attempts;

CREATE TEMP VIEW joined_attempts AS FROM current_attempts;

CREATE TEMP VIEW faces AS SELECT * REPLACE (without_folders(reason) AS reason) FROM catalog.main.faces;

CREATE TEMP VIEW faceless AS SELECT * REPLACE (without_folders(reason) AS reason) FROM catalog.main.faceless;

CREATE TEMP VIEW faces_or_none AS FROM faces UNION ALL FROM faceless;
