-- The tables of a catalog. They index what lies in the store (sidecars, scans, pinned splits, runs) and can always be
-- rebuilt from it. Columns of videos, attempts and predictions are those of the Parquet files, in their order, followed
-- by the catalog's own. No primary keys: an index over ten million ids costs more than the ingest that keeps
-- rows unique.

CREATE TABLE meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL);

-- files of the store as they were when they were ingested; `path` is relative to the store
CREATE TABLE ingested (path VARCHAR NOT NULL, kind VARCHAR NOT NULL, bytes BIGINT NOT NULL, mtime_ns BIGINT NOT NULL);

-- one row per scanned copy of a dataset
CREATE TABLE sources (
    source VARCHAR NOT NULL,
    adapter VARCHAR NOT NULL,
    datasets VARCHAR[] NOT NULL,
    root VARCHAR NOT NULL,
    config VARCHAR,                -- JSON: the adapter's options
    licence VARCHAR,
    redistributable BOOLEAN,
    scanned_at TIMESTAMPTZ,
    videos BIGINT NOT NULL,
    notes VARCHAR[],
    warnings VARCHAR[]
);

-- how complete that copy is: one row per folder of videos (quality 'masks': of mask videos)
CREATE TABLE expectations (
    source VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    quality VARCHAR NOT NULL,
    part VARCHAR,                  -- a part of the folder with a count of its own, e.g. a scene of DFD
    expected BIGINT,               -- null where nobody published a count
    found BIGINT NOT NULL,
    missing BIGINT NOT NULL,       -- by name, see completeness
    unexpected BIGINT NOT NULL,    -- by name, see completeness
    unnamed BIGINT NOT NULL,       -- missing, without anybody knowing their names
    surplus BIGINT NOT NULL        -- found beyond the published count
);

-- the names behind those counts
CREATE TABLE completeness (
    source VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    quality VARCHAR NOT NULL,
    part VARCHAR,
    name VARCHAR NOT NULL,
    state VARCHAR NOT NULL         -- missing | unexpected
);

-- videos as the last scan of each source found them
CREATE TABLE scanned (
    video_id VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    quality VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    label TINYINT NOT NULL,
    raw_label VARCHAR,
    target_id VARCHAR,
    source_id VARCHAR,
    visible_id VARCHAR,
    original_video VARCHAR,
    official_split VARCHAR,
    kind VARCHAR NOT NULL,
    aligned BOOLEAN NOT NULL,
    source VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    mask_path VARCHAR,
    bytes BIGINT,
    mtime_ns BIGINT
);

-- videos as the packs of shards describe them, with what became of them
CREATE TABLE packed (
    video_id VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    quality VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    label TINYINT NOT NULL,
    raw_label VARCHAR,
    target_id VARCHAR,
    source_id VARCHAR,
    visible_id VARCHAR,
    original_video VARCHAR,
    official_split VARCHAR,
    kind VARCHAR NOT NULL,
    aligned BOOLEAN NOT NULL,
    source VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    mask_path VARCHAR,
    bytes BIGINT,
    mtime_ns BIGINT,
    recipe_hash VARCHAR NOT NULL,
    content VARCHAR,
    status VARCHAR NOT NULL,
    reason VARCHAR,
    decoder VARCHAR,
    codec VARCHAR,
    width INTEGER,
    height INTEGER,
    fps DOUBLE,
    frame_count BIGINT,
    rotation INTEGER,
    frames_wanted INTEGER,
    frames_read INTEGER,
    frames_with_face INTEGER,
    faces INTEGER,
    missing STRUCT(frame_index BIGINT, reason VARCHAR)[],
    versions VARCHAR,
    attempted_at TIMESTAMPTZ,
    pack VARCHAR NOT NULL,
    attempt INTEGER NOT NULL       -- number of this row in this catalog, by which its faces find it
);

-- files that were looked at again and held known bytes under another size or time; see attempts.current
CREATE TABLE seen (
    video_id VARCHAR NOT NULL,
    content VARCHAR NOT NULL,
    bytes BIGINT NOT NULL,
    mtime_ns BIGINT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    file VARCHAR NOT NULL
);

-- one row per video: from the newest scan that lists it, else from the newest pack (derived, see derive.sql)
CREATE TABLE videos (
    video_id VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    quality VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    label TINYINT NOT NULL,
    raw_label VARCHAR,
    target_id VARCHAR,
    source_id VARCHAR,
    visible_id VARCHAR,
    original_video VARCHAR,
    official_split VARCHAR,
    kind VARCHAR NOT NULL,
    aligned BOOLEAN NOT NULL,
    source VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    mask_path VARCHAR,
    bytes BIGINT,
    mtime_ns BIGINT,
    in_scan BOOLEAN NOT NULL       -- is in the last scan of its source
);

-- one row per video, recipe and content of the file (derived, see derive.sql)
CREATE TABLE attempts (
    video_id VARCHAR NOT NULL,
    recipe_hash VARCHAR NOT NULL,
    content VARCHAR,
    status VARCHAR NOT NULL,
    reason VARCHAR,
    decoder VARCHAR,
    codec VARCHAR,
    width INTEGER,
    height INTEGER,
    fps DOUBLE,
    frame_count BIGINT,
    rotation INTEGER,
    frames_wanted INTEGER,
    frames_read INTEGER,
    frames_with_face INTEGER,
    faces INTEGER,
    missing STRUCT(frame_index BIGINT, reason VARCHAR)[],
    versions VARCHAR,
    attempted_at TIMESTAMPTZ,
    pack VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,      -- the row of packed
    current BOOLEAN NOT NULL       -- of the content the video was last seen with under this recipe
);

-- one row per face of every pack; which of them count is said by attempts. What all faces of an attempt have in common is
-- said there once: joins and groups of ten million rows are of integers. People read the view samples.
CREATE TABLE sample_rows (
    attempt INTEGER NOT NULL,      -- the row of packed
    sample_id VARCHAR NOT NULL,
    frame_index BIGINT NOT NULL,
    time_s DOUBLE,
    track SMALLINT NOT NULL,
    draw_key BIGINT NOT NULL,
    box_x REAL,
    box_y REAL,
    box_w REAL,
    box_h REAL,
    face_px REAL,
    det_score REAL,
    sharpness REAL,
    brightness REAL,
    yaw REAL,
    pitch REAL,
    roll REAL,
    landmark_scheme VARCHAR,
    image_ext VARCHAR NOT NULL,
    image_offset BIGINT NOT NULL,
    image_size INTEGER NOT NULL,
    image_xxh3 UBIGINT NOT NULL,
    json_offset BIGINT NOT NULL,
    json_size INTEGER NOT NULL,
    json_xxh3 UBIGINT NOT NULL,
    mask_offset BIGINT,
    mask_size INTEGER,
    mask_xxh3 UBIGINT
);

-- what was computed of faces after they were packed, one row per face and kind; see shards/features.py
CREATE TABLE features (
    sample_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,         -- phash: 72 bytes; phash-inner: of inner parts, 72 bytes each; see shards/phash.py
    version SMALLINT NOT NULL,
    value BLOB NOT NULL,
    file VARCHAR NOT NULL
);

-- who a face shows, as a point: one row per face that was asked; see curation/faces/embedding.py
CREATE TABLE embeddings (
    sample_id VARCHAR NOT NULL,
    version SMALLINT NOT NULL,
    embedding FLOAT[128],          -- null: the face came without landmarks
    file VARCHAR NOT NULL
);

-- one row per person followed through a video, in clusters by embedding; see queries/persons.py
CREATE TABLE persons (
    video_id VARCHAR NOT NULL,
    content VARCHAR NOT NULL,
    recipe_hash VARCHAR NOT NULL,
    track SMALLINT NOT NULL,
    person VARCHAR NOT NULL,       -- the cluster's first VIDEO_ID#TRACK
    faces INTEGER NOT NULL,        -- with an embedding
    away REAL NOT NULL,            -- of their mean from the cluster's
    file VARCHAR NOT NULL
);

-- videos whose faces were compared, with those that show the same; see queries/duplicates.py
CREATE TABLE duplicate_groups (
    video_id VARCHAR NOT NULL,
    content VARCHAR NOT NULL,          -- a row holds for these bytes, under any recipe
    duplicate_group VARCHAR NOT NULL,  -- first video of the same footage in the same state: itself where it is alone
    footage_group VARCHAR NOT NULL,    -- first video of the same footage, forgeries of it included
    faces INTEGER NOT NULL,            -- that could be compared
    file VARCHAR NOT NULL
);

-- the pairs behind those groups
CREATE TABLE duplicate_matches (
    one VARCHAR NOT NULL,          -- video_id
    other VARCHAR NOT NULL,
    relation VARCHAR NOT NULL,     -- same file | same footage | forgery | sibling forgeries
    told BOOLEAN NOT NULL,         -- the datasets say so themselves
    matching INTEGER NOT NULL,     -- faces of the video that has fewer that are like one of the other
    faces INTEGER NOT NULL,        -- of the video that has fewer
    least INTEGER NOT NULL,        -- bits of 576 between the nearest two faces
    median DOUBLE NOT NULL,
    file VARCHAR NOT NULL
);

-- one row per pack; a pack without any face has no tar
CREATE TABLE shards (
    shard VARCHAR NOT NULL,
    recipe_hash VARCHAR NOT NULL,
    videos BIGINT NOT NULL,
    samples BIGINT NOT NULL,
    tar_end BIGINT NOT NULL,       -- where the last byte of its rows must lie
    tar_bytes BIGINT,              -- size of the tar, null where there is none
    tar VARCHAR NOT NULL,          -- there | missing | short | none (no face), when last looked at
    files VARCHAR NOT NULL         -- sizes and times of the sidecars: a pack that changed is ingested again
);

CREATE TABLE recipes (recipe_hash VARCHAR NOT NULL, name VARCHAR NOT NULL, recipe VARCHAR NOT NULL);  -- recipe: JSON

-- pinned splits; the manifests in store/splits are the truth
CREATE TABLE splits (
    name VARCHAR NOT NULL,
    hash VARCHAR NOT NULL,
    path VARCHAR NOT NULL,         -- relative to the store
    title VARCHAR,
    faces BIGINT NOT NULL,
    "real" BIGINT NOT NULL,
    fake BIGINT NOT NULL,
    faceless BIGINT NOT NULL,
    errors BIGINT NOT NULL,        -- lints, by severity
    warnings BIGINT NOT NULL,
    notes BIGINT NOT NULL,
    created_at TIMESTAMPTZ,
    card VARCHAR NOT NULL          -- JSON: the manifest's metadata
);

-- what pinned splits are made of
CREATE TABLE split_parts (
    hash VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    label TINYINT NOT NULL,
    role VARCHAR,                  -- source | target | null, see splits that treat two domains differently
    faces BIGINT NOT NULL,
    file VARCHAR NOT NULL          -- relative to the store
);

-- training runs; record: run.json
CREATE TABLE runs (
    run_id VARCHAR NOT NULL,
    status VARCHAR,
    detector VARCHAR,
    created_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    record VARCHAR NOT NULL,
    file VARCHAR NOT NULL
);

CREATE TABLE predictions (
    run_id VARCHAR NOT NULL,
    checkpoint VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    split_hash VARCHAR NOT NULL,
    sample_id VARCHAR,
    video_id VARCHAR NOT NULL,
    label TINYINT NOT NULL,
    score REAL NOT NULL,
    file VARCHAR NOT NULL
);

-- other names: what goes by two ids and is one. Rows without a file are known of published datasets (aliases.csv), the
-- others were said by whoever described a source.
CREATE TABLE aliases (
    kind VARCHAR NOT NULL,         -- person | recording (clips of one video) | footage (of whole datasets, or methods)
    one VARCHAR NOT NULL,          -- identity as ffpp:043; of kind footage: dataset or dataset/method
    other VARCHAR NOT NULL,
    said_by VARCHAR NOT NULL,      -- where that is known from
    file VARCHAR
);

-- what people corrected after curation; the newest row of a video and column counts
CREATE TABLE corrections (
    video_id VARCHAR NOT NULL,
    "column" VARCHAR NOT NULL,
    value VARCHAR,                 -- null: unknown
    who VARCHAR,
    "at" TIMESTAMPTZ,
    why VARCHAR,
    file VARCHAR NOT NULL
);
