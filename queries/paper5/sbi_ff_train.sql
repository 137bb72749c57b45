-- SBI trained on FF++: real faces alone, YouTube and actors' originals
-- paper: the thesis on UCF, SBI, Locate and Verify and SPSL, section 4.2
-- table: 4.9
-- reports: accuracy of 0.9949 on YouTube and 0.9708 on actors, AUC of 0.5334 on CelebDF
-- SBI makes its fakes from real faces while it trains.
-- Sets of FF++ are those that `scan faceforensics` and `scan dfd` give; the others are named as in `scan folder private/NAME`.
-- uses: training_sides = sets_train.sql
-- param sets: 'dfd/original,ffpp/original'  (with commas between)

SELECT sample_id FROM training_sides
