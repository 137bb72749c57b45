-- UCF trained on many datasets
-- paper: the thesis on UCF, SBI, Locate and Verify and SPSL, section 4.1
-- table: 4.7
-- reports: AUC of 0.6878 on CelebDF, 0.3590 on DeeperForensics
-- Text and table differ: the text has reface and not Deepfakes, the table has Deepfakes among the sets trained on and reface
-- among the others. This is the table's list.
-- Sets of FF++ are those that `scan faceforensics` and `scan dfd` give; the others are named as in `scan folder private/NAME`.
-- uses: training_sides = sets_train.sql
-- param sets: 'Defacto-morphs,faceapp-morph,dfd/original,ffpp/original,ffpp/Deepfakes,ffpp/Face2Face,ffpp/FaceSwap,ffpp/NeuralTextures,FFHQ,FFHQ-GFPGAN,Ms-Celeb-1M,StyleGAN3,tedx,VGGFace'  (with commas between)

SELECT sample_id FROM training_sides
