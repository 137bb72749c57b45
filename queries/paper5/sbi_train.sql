-- SBI trained on many datasets: real faces alone
-- paper: the thesis on UCF, SBI, Locate and Verify and SPSL, section 4.2
-- table: 4.10
-- reports: AUC of 0.6164 on CelebDF, 0.5788 on DeeperForensics
-- SBI makes its fakes from real faces while it trains.
-- Sets of FF++ are those that `scan faceforensics` and `scan dfd` give; the others are named as in `scan folder private/NAME`.
-- uses: training_sides = sets_train.sql
-- param sets: 'dfd/original,ffpp/original,LRS3,Ms-Celeb-1M,VGGFace'  (with commas between)

SELECT sample_id FROM training_sides
