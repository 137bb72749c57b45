-- CELEB-M without the clips that are on the training side of Celeb-DF v2
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 4.2
-- table: 6, as it should have been measured
-- reports: nothing; the published figure (80.20 % for MesoNet1) is of celeb_m_as_published.sql
-- Clips are compared by content, the SHA-256 of their files, and not by name, since v1 and v2 give one name to different
-- clips. A clip that was encoded anew is not recognised; one of v1 that cannot be read is left out. About 38 real clips
-- should remain, so the set is balanced at whatever there is. People are not compared: all of v1 are in v2.
-- Fakes that were made from a clip on the training side stay (the check same_original names them), unless --param originals=new
-- leaves them out too.
-- Contents are known of videos that a recipe was tried on, so all of v2 must have been curated, with any recipe.
-- param frames_per_video: 10  (evenly spaced among the frames with a face)
-- param per_class: 1000  (faces of each label, where there are that many)
-- param unread: 0  (so many training clips of v2 may be of unknown content, because their files cannot be read)
-- param originals: 'any'  (any, or new: of fakes whose original clip is not on v2's training side either)
-- param seed: 1  (of the draw)

WITH v2_training_side AS (
    SELECT video_id, content
    FROM corrected_videos LEFT JOIN attempts USING (video_id)
    WHERE dataset = 'celebdf-v2' AND official_split IS DISTINCT FROM 'test'
), known AS (
    SELECT
        count(DISTINCT video_id) AS clips,
        count(DISTINCT video_id) - count(DISTINCT video_id) FILTER (content IS NOT NULL) AS unread
    FROM v2_training_side
), trained_originals AS (
    SELECT DISTINCT video_id FROM attempts
    WHERE content IN (SELECT content FROM v2_training_side WHERE content IS NOT NULL)
), new_clips AS (
    SELECT * FROM faces_or_none
    WHERE dataset = 'celebdf-v1'
      AND content NOT IN (SELECT content FROM v2_training_side WHERE content IS NOT NULL)
      AND ($originals = 'any' OR original_video IS NULL OR original_video NOT IN (SELECT video_id FROM trained_originals))
      AND CASE WHEN (SELECT clips FROM known) = 0
               THEN error('the catalog has no training clip of celebdf-v2 to compare with: scan and curate it first')
               WHEN (SELECT unread FROM known) > $unread
               THEN error(format('the content of {} training clips of celebdf-v2 is not known: curate celebdf-v2 first, or '
                                 'allow for files that cannot be read with --param unread={}',
                                 (SELECT unread FROM known), (SELECT unread FROM known)))
               ELSE true END
), frames AS (
    FROM frames_per_video(new_clips, n := $frames_per_video)
)
SELECT sample_id, video_id FROM balanced(frames, n := $per_class, seed := $seed)
