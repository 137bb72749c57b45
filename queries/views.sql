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

-- what became of each video under each recipe, newest content only; one row per video and recipe
CREATE OR REPLACE VIEW current_attempts AS
SELECT
    v.*, a.* EXCLUDE (video_id, current),
    coalesce(r.name, a.recipe_hash[:8]) AS recipe,
    shards.tar
FROM attempts a
JOIN corrected_videos v USING (video_id)
JOIN shards ON shards.shard = a.pack
LEFT JOIN recipes r ON r.recipe_hash = a.recipe_hash
WHERE a.current;

CREATE OR REPLACE VIEW faces AS
SELECT
    s.sample_id,
    v.dataset, v.method, v.category, v.label, v.raw_label, v.quality,
    v.target_id, v.source_id, v.visible_id,
    s.video_id, v.original_video, v.official_split, v.name,
    s.frame_index, s.time_s, s.track,
    s.face_px, s.det_score, s.sharpness, s.brightness, s.yaw, s.pitch, s.roll,
    s.box_x, s.box_y, s.box_w, s.box_h, s.landmark_scheme,
    v.width, v.height, v.fps, v.codec, v.decoder, v.frame_count, v.bytes, v.content,
    v.frames_wanted, v.frames_with_face, v.kind, v.aligned, v.source,
    v.recipe, s.recipe_hash, s.draw_key,
    s.shard, v.tar, s.image_ext, s.image_offset AS "offset", s.image_size AS size,
    v.status, v.reason
FROM samples s
JOIN current_attempts v ON v.pack = s.shard AND v.video_id = s.video_id;

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
    status, reason
FROM current_attempts
WHERE status <> 'done' OR coalesce(faces, 0) = 0;

-- what an evaluation split selects from: no video drops out because no face was found in it
CREATE OR REPLACE VIEW faces_or_none AS
FROM faces UNION ALL FROM faceless;

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
