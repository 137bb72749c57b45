-- SPSL trained on many datasets
-- paper: the thesis on UCF, SBI, Locate and Verify and SPSL, section 4.4
-- table: 4.15
-- reports: accuracy of 0.8179 to 0.9904 on FF++'s sets
-- Text and table have the same list.
-- Sets of FF++ are those that `scan faceforensics` and `scan dfd` give; the others are named as in `scan folder private/NAME`.
-- uses: training_sides = sets_train.sql
-- param sets: 'faceapp-morph,dfd/original,ffpp/original,ffpp/Deepfakes,ffpp/Face2Face,ffpp/FaceSwap,ffpp/NeuralTextures,FFHQ,Ms-Celeb-1M,reface,StyleGAN3,tedx'  (with commas between)

SELECT sample_id FROM training_sides
