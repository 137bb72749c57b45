-- What the predictions of a study come to, per test video: faces scored and faces told right, one row for each run, test
-- set and video. All figures of the study are made of these rows.
-- `planned` (detector, family, number, training_set, mode, seed, run_id) and `tests` (training_set, test, role, place, split,
-- split_hash) say which runs and pinned splits are meant. A run that was scored with several checkpoints counts with the one
-- it selected. Accuracy is at frame level, as in the paper: a score above 0.5 is called fake; a video without a face
-- (no sample_id) has no frame to count.
WITH meant AS (
    SELECT planned.*, tests.* EXCLUDE training_set, runs.record->>'$.checkpoint.name' AS selected
    FROM planned JOIN tests USING (training_set) LEFT JOIN runs USING (run_id)
)
SELECT
    detector, seed, test, m.run_id, p.checkpoint, m.split, m.split_hash, p.video_id, p.label,
    count(*) AS images,
    count(*) FILTER (
        CASE WHEN p.score BETWEEN 0 AND 1 THEN (p.score > 0.5) = (p.label = 1)
             ELSE error(format('the score of {} in run {} is {}, no probability: score the set again', p.sample_id, m.run_id,
                               p.score)) END
    ) AS correct
FROM meant m
JOIN predictions p ON p.run_id = m.run_id AND p.split_hash = m.split_hash AND p.checkpoint = coalesce(m.selected, p.checkpoint)
WHERE p.sample_id IS NOT NULL
GROUP BY ALL
ORDER BY ALL
