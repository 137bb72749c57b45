-- In the place of CELEB-M on the demo tree, which has no Celeb-DF v1: other frames of Celeb-DF v2's test list
-- Made with the method of the training set, as CELEB-M is, and of nobody's use beyond the demo: these videos are those of
-- celeb_2000.sql, in frames that it did not draw.
-- uses: celeb_2000 = ../../queries/paper1/celeb_2000.sql
-- param each: 1000  (faces of each label, where there are that many)
-- param seed: 1  (of the draw)

WITH clips AS (
    SELECT * FROM faces WHERE dataset = 'celebdf-v2' AND official_split = 'test'
), not_drawn AS (
    FROM without(clips, celeb_2000)
)
SELECT sample_id FROM balanced(not_drawn, n := $each, seed := $seed)
