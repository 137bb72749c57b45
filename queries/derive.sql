-- Derives videos, attempts and current_attempts from what was taken in, for the videos in the temporary table `touched`.
-- The answer depends on the rows alone, not on the order in which they were ingested: a rebuild gives the same.

DELETE FROM videos WHERE video_id IN (FROM touched);

-- a scan knows better than a pack, which repeats an earlier scan; then the newest
INSERT INTO videos BY NAME
SELECT * EXCLUDE (known_at, tie)
FROM (
    SELECT scanned.*, true AS in_scan, scanned_at AS known_at, source AS tie
    FROM scanned JOIN sources USING (source)
    WHERE video_id IN (FROM touched)
    UNION ALL BY NAME
    SELECT packed.* EXCLUDE (recipe_hash, content, status, reason, decoder, codec, width, height, fps, frame_count,
                             rotation, frames_wanted, frames_read, frames_with_face, faces, missing, versions,
                             attempted_at, pack, attempt),
           false AS in_scan, attempted_at AS known_at, pack AS tie
    FROM packed
    WHERE video_id IN (FROM touched)
)
QUALIFY row_number() OVER (PARTITION BY video_id ORDER BY in_scan DESC, known_at DESC NULLS LAST, tie DESC) = 1;

DELETE FROM attempts WHERE video_id IN (FROM touched);

-- of several attempts on the same bytes the newest; but a later failure does not take away faces that are there, nor
-- does a pack whose tar is gone come before one that can be read.
-- Current is the content last seen; a file that could not be read at all (null) says nothing of its content.
INSERT INTO attempts BY NAME
SELECT tried.*, row_number() OVER (PARTITION BY video_id, recipe_hash
                                   ORDER BY content IS NULL, greatest(attempted_at, again.seen_at) DESC NULLS LAST,
                                            content DESC) = 1 AS current
FROM (
    SELECT video_id, packed.recipe_hash, content, status, reason, decoder, codec, width, height, fps, frame_count,
           rotation, frames_wanted, frames_read, frames_with_face, faces, missing, versions, attempted_at, pack, attempt
    FROM packed JOIN shards ON shard = pack
    WHERE video_id IN (FROM touched)
    QUALIFY row_number() OVER (PARTITION BY video_id, packed.recipe_hash, content
                               ORDER BY status = 'failed', tar IN ('missing', 'short'), attempted_at DESC NULLS LAST,
                                        pack DESC) = 1
) AS tried
LEFT JOIN (
    SELECT video_id, content, max(seen_at) AS seen_at FROM seen WHERE video_id IN (FROM touched) GROUP BY ALL
) AS again USING (video_id, content);

DELETE FROM current_attempts WHERE video_id IN (FROM touched);

INSERT INTO current_attempts BY NAME FROM joined_attempts WHERE video_id IN (FROM touched);
