-- Identity probe, training images: real faces of people with many images, by default LFW
-- paper: Implicit Identity Leakage: The Stumbling Block to Improving Deepfake Detection Generalization (Dong et al.), section 3.1
-- reports: figure 2, the accuracy of a linear classifier of identities on a detector's features, for FF++, Celeb-DF and LFW
-- What the probe is fitted to; a person is `visible_id`, and all people are in both id_probe_train.sql and id_probe_test.sql. Which
-- people and how many images were taken is not said; here people with 10 images or more, four in five of them to
-- fit. For FF++ and Celeb-DF images are frames of clips, of which FF++ has one of a person: both sides then share clips.
-- param dataset: lfw  (lfw, ffpp or celebdf-v2)
-- param quality: native  (native; of FF++ raw, c23 or c40; of LFW also funneled, deepfunneled)
-- param least_images: 10  (of a person)
-- param fit_share: 0.8  (of a person's images, to fit the probe)
-- param seed: 1  (of the draw)

WITH known AS (
    SELECT * FROM faces
    WHERE dataset = $dataset AND quality = $quality AND label = 0 AND visible_id IS NOT NULL
), numbered AS (
    SELECT sample_id,
           row_number() OVER (PARTITION BY visible_id ORDER BY draw(draw_key, $seed), sample_id) AS number,
           count(*) OVER (PARTITION BY visible_id) AS images
    FROM known
)
SELECT sample_id FROM numbered WHERE images >= $least_images AND number <= images * $fit_share
