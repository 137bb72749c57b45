-- The views that people write SQL against. `faces` is the one: one row per face, everything joined.

-- videos with what people corrected: for each video and column the newest correction counts, ties by who and value
CREATE OR REPLACE VIEW corrected_videos AS
WITH newest AS (
    SELECT video_id, "column", value
    FROM corrections
    QUALIFY row_number() OVER (PARTITION BY video_id, "column" ORDER BY "at" DESC NULLS LAST, who, value, why) = 1
), wide AS (
    SELECT
        video_id,
        any_value({v: TRY_CAST(value AS TINYINT)}) FILTER ("column" = 'label') AS label,
        any_value({v: value}) FILTER ("column" = 'category') AS category,
        any_value({v: value}) FILTER ("column" = 'target_id') AS target_id,
        any_value({v: value}) FILTER ("column" = 'source_id') AS source_id,
        any_value({v: value}) FILTER ("column" = 'visible_id') AS visible_id,
        any_value({v: value}) FILTER ("column" = 'original_video') AS original_video,
        any_value({v: value}) FILTER ("column" = 'official_split') AS official_split
    FROM newest
    GROUP BY video_id
)
SELECT videos.* REPLACE (
    coalesce(wide.label, {v: videos.label}).v AS label,
    coalesce(wide.category, {v: videos.category}).v AS category,
    coalesce(wide.target_id, {v: videos.target_id}).v AS target_id,
    coalesce(wide.source_id, {v: videos.source_id}).v AS source_id,
    coalesce(wide.visible_id, {v: videos.visible_id}).v AS visible_id,
    coalesce(wide.original_video, {v: videos.original_video}).v AS original_video,
    coalesce(wide.official_split, {v: videos.official_split}).v AS official_split
)
FROM videos LEFT JOIN wide USING (video_id);

-- relatives: (one, other) of identities that are one person or clips of one recording, directly or over others; both ways
CREATE OR REPLACE VIEW relatives AS
WITH RECURSIVE said AS (
    SELECT one, other FROM aliases WHERE kind IN ('person', 'recording')
    UNION SELECT other, one FROM aliases WHERE kind IN ('person', 'recording')
), reached AS (
    FROM said
    UNION SELECT reached.one, said.other FROM reached JOIN said ON said.one = reached.other
)
FROM reached WHERE one <> other;

-- one row per face of every pack, with the columns of the sidecars
CREATE OR REPLACE VIEW samples AS
SELECT
    s.sample_id, substr(s.sample_id, 19) AS key, p.video_id, p.recipe_hash, p.content,
    s.frame_index, s.time_s, s.track, s.draw_key,
    s.box_x, s.box_y, s.box_w, s.box_h, s.face_px, s.det_score, s.sharpness, s.brightness, s.yaw, s.pitch, s.roll,
    s.landmark_scheme, s.image_ext, p.pack AS shard,
    s.image_offset, s.image_size, s.image_xxh3, s.json_offset, s.json_size, s.json_xxh3,
    s.mask_offset, s.mask_size, s.mask_xxh3
FROM sample_rows s JOIN packed p USING (attempt);

-- what became of each video under each recipe, newest content only; one row per video and recipe
CREATE OR REPLACE VIEW joined_attempts AS
SELECT
    v.*, a.* EXCLUDE (video_id, current),
    coalesce(r.name, a.recipe_hash[:8]) AS recipe,
    shards.tar
FROM attempts a
JOIN corrected_videos v USING (video_id)
JOIN shards ON shards.shard = a.pack
LEFT JOIN recipes r ON r.recipe_hash = a.recipe_hash
WHERE a.current;

-- its rows, which everything below is joined with: to make them anew each time was a quarter of what a split costs. Made
-- here when the definitions change, and from then on by derive.sql for each video that is touched.
CREATE OR REPLACE TABLE current_attempts AS FROM joined_attempts;

-- what the sample_ids of an attempt begin with, see locate.py
CREATE OR REPLACE VIEW stems AS
SELECT recipe_hash[:8] || '/' || content[:8] || '/' || video_id AS stem, attempt FROM current_attempts;

CREATE OR REPLACE VIEW faces AS
SELECT
    s.sample_id,
    v.dataset, v.method, v.category, v.label, v.raw_label, v.quality,
    v.target_id, v.source_id, v.visible_id,
    v.video_id, v.original_video, v.official_split, v.name,
    s.frame_index, s.time_s, s.track,
    s.face_px, s.det_score, s.sharpness, s.brightness, s.yaw, s.pitch, s.roll,
    s.box_x, s.box_y, s.box_w, s.box_h, s.landmark_scheme,
    v.width, v.height, v.fps, v.codec, v.decoder, v.frame_count, v.bytes, v.content,
    v.frames_wanted, v.frames_with_face, v.kind, v.aligned, v.source,
    v.recipe, v.recipe_hash, s.draw_key,
    v.pack AS shard, v.tar, s.image_ext, s.image_offset AS "offset", s.image_size AS size,
    v.status, v.reason, v.attempt
FROM sample_rows s
JOIN current_attempts v USING (attempt);

-- videos that were tried and gave no face: the columns of `faces`, null where there is no face to speak of
CREATE OR REPLACE VIEW faceless AS
SELECT
    NULL::VARCHAR AS sample_id,
    dataset, method, category, label, raw_label, quality,
    target_id, source_id, visible_id,
    video_id, original_video, official_split, name,
    NULL::BIGINT AS frame_index, NULL::DOUBLE AS time_s, NULL::SMALLINT AS track,
    NULL::REAL AS face_px, NULL::REAL AS det_score, NULL::REAL AS sharpness, NULL::REAL AS brightness,
    NULL::REAL AS yaw, NULL::REAL AS pitch, NULL::REAL AS roll,
    NULL::REAL AS box_x, NULL::REAL AS box_y, NULL::REAL AS box_w, NULL::REAL AS box_h,
    NULL::VARCHAR AS landmark_scheme,
    width, height, fps, codec, decoder, frame_count, bytes, content,
    frames_wanted, frames_with_face, kind, aligned, source,
    recipe, recipe_hash, NULL::BIGINT AS draw_key,
    NULL::VARCHAR AS shard, NULL::VARCHAR AS tar, NULL::VARCHAR AS image_ext, NULL::BIGINT AS "offset",
    NULL::INTEGER AS size,
    status, reason, attempt
FROM current_attempts
WHERE status <> 'done' OR coalesce(faces, 0) = 0;

-- what an evaluation split selects from: no video drops out because no face was found in it
CREATE OR REPLACE VIEW faces_or_none AS
FROM faces UNION ALL FROM faceless;

-- what each run was trained on: datasets and their methods, the originals being one of them
CREATE OR REPLACE VIEW trained_on AS
SELECT run_id, dataset, method, label, role, sum(faces) AS faces
FROM (
    SELECT run_id, split ->> 'hash' AS hash
    FROM (SELECT run_id, unnest((record::JSON -> 'splits')::JSON[]) AS split FROM runs)
    WHERE split ->> 'role' = 'train'
) JOIN (SELECT DISTINCT * EXCLUDE (file) FROM split_parts) USING (hash)
GROUP BY ALL;

-- predictions with the domain of the video as the run sees it: 'in' where it was trained on other videos of the same dataset
-- and method (or on these), 'target' where it only adapted to them without labels, else 'out'; null where the run's training
-- split is not in the catalog. Which domain a dataset is in is a property of the run, not of the dataset.
CREATE OR REPLACE VIEW domain_predictions AS
WITH known AS (
    SELECT run_id, dataset, method,
           CASE WHEN bool_and(role IS NOT DISTINCT FROM 'target') THEN 'target' ELSE 'in' END AS domain
    FROM trained_on GROUP BY run_id, dataset, method
)
SELECT
    p.run_id, p.checkpoint, p.split, p.split_hash, v.dataset, v.method, p.label, p.video_id, p.sample_id, p.score,
    CASE WHEN p.run_id IN (SELECT run_id FROM trained_on) THEN coalesce(known.domain, 'out') END AS domain
FROM predictions p
JOIN corrected_videos v USING (video_id)
LEFT JOIN known ON known.run_id = p.run_id AND known.dataset = v.dataset AND known.method = v.method;

-- the figures in every run.json, one row each
CREATE OR REPLACE VIEW metrics AS
SELECT
    run_id, detector, created_at,
    m ->> 'split' AS split,
    m ->> 'split_hash' AS split_hash,
    m ->> 'checkpoint' AS checkpoint,
    m ->> 'level' AS level,
    m ->> 'aggregation' AS aggregation,
    m ->> 'faceless' AS faceless,
    (m ->> 'frames')::BIGINT AS frames,
    (m ->> 'videos')::BIGINT AS videos,
    (m ->> 'faceless_videos')::BIGINT AS faceless_videos,
    (m ->> 'real')::BIGINT AS "real",
    (m ->> 'fake')::BIGINT AS fake,
    (m ->> 'auc')::DOUBLE AS auc,
    (m ->> 'eer')::DOUBLE AS eer,
    (m ->> 'ap')::DOUBLE AS ap,
    (m ->> 'accuracy')::DOUBLE AS accuracy,
    m ->> 'reason' AS reason
FROM (SELECT run_id, detector, created_at, unnest((record::JSON -> 'metrics')::JSON[]) AS m FROM runs);
