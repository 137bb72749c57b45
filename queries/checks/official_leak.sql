-- Leaks that a dataset's own published split has, so that nobody takes them for a mistake of a query, nor the split for a
-- clean one. What is shared is counted by the other checks; here it is said where it comes from, and every clip is named.
WITH leaks(dataset, source, what) AS (
    VALUES
    ('celebdf-v2', 'List_of_testing_videos.txt of Celeb-DF v2',
     'of its 340 fakes 234 have their original clip among the training videos, and 56 of the 59 people are on it'),
    ('ffpp', 'splits/train.json, val.json and test.json of FaceForensics++',
     'its 1000 sequences are clips of 977 YouTube videos, and some people are in several of them')
), listed AS (
    SELECT DISTINCT side, place, dataset, official_split, clip(footage(original_video, video_id)) AS clip, target_id,
           video_id, original_video
    FROM side_videos WHERE dataset IN ('celebdf-v2', 'ffpp') AND official_split IS NOT NULL
), shared AS (
    SELECT a.side AS a, b.side AS b, a.dataset, a.clip AS example,
           count(DISTINCT CASE a.official_split WHEN 'test' THEN a.video_id ELSE b.video_id END)
               FILTER (coalesce(a.original_video, b.original_video) = CASE a.official_split WHEN 'test' THEN b.video_id
                                                                                            ELSE a.video_id END) AS fakes
    FROM listed a JOIN listed b ON a.clip = b.clip AND a.place < b.place AND a.official_split <> b.official_split
    WHERE a.dataset = 'celebdf-v2' AND b.dataset = 'celebdf-v2'
    GROUP BY ALL
    UNION
    SELECT a.side, b.side, a.dataset, a.target_id || ' and ' || b.target_id, 0
    FROM listed a JOIN relatives r ON a.target_id = r.one
    JOIN listed b ON b.target_id = r.other AND a.place < b.place AND a.official_split <> b.official_split
    WHERE a.dataset = 'ffpp' AND b.dataset = 'ffpp'
)
SELECT
    a, b, 'note' AS severity,
    format('known leak of an official split ({}): {}', any_value(source), any_value(what))
        || CASE WHEN sum(fakes) > 0 THEN format('; here {} fakes for testing, made from {} clips for training', sum(fakes),
                                                count(*) FILTER (fakes > 0)) ELSE '' END AS message,
    count(*) AS count, list(example ORDER BY fakes = 0, example) AS examples
FROM shared JOIN leaks USING (dataset)
GROUP BY a, b, dataset;
