-- NT-I: NeuralTextures with the people of the Face2Face training set
-- paper: How Generalizable are Deepfake Image Detectors? An Empirical Study (Li, Sun, Poskitt, Wang), section 4.2
-- table: 7, column NT-I
-- reports: 61.15 % for ShallowNet4, 52.35 % for MesoNet4 (NT: 53.35 % and 52.20 %)
-- Fakes whose target and source are both in the Face2Face training set, and real faces of the same people in frames that
-- this set did not draw. FF++ has one real clip of a person, so original clips are on both sides by construction: checked
-- beside f2f_train this split has the errors shared_videos and shared_footage, and they are meant.
-- The paper does not say how its 2,000 images were chosen; they are drawn here. $seed also draws the training set: give the
-- seed (and quality) with which f2f_train was pinned.
-- uses: f2f_train = ../ffpp/f2f_train.sql
-- param quality: c23  (raw, c23 or c40)
-- param fakes_per_video: 10  (frames of a fake video, evenly spaced)
-- param each: 1000  (faces of each label, where there are that many)
-- param seed: 1  (of the draws)

WITH fakes AS (
    SELECT * FROM faces WHERE dataset = 'ffpp' AND quality = $quality AND method = 'NeuralTextures'
), originals AS (
    SELECT * FROM faces WHERE dataset = 'ffpp' AND quality = $quality AND method = 'original'
), fakes_of_same_people AS (
    FROM same_identities(fakes, f2f_train)
), some_frames AS (
    FROM frames_per_video(fakes_of_same_people, n := $fakes_per_video)
), originals_of_same_people AS (
    FROM same_identities(originals, f2f_train)
), frames_not_drawn AS (
    FROM without(originals_of_same_people, f2f_train)
), candidates AS (
    FROM some_frames UNION ALL FROM frames_not_drawn
)
SELECT sample_id FROM balanced(candidates, n := $each, seed := $seed)
