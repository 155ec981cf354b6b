"""Published names of SSTNet's parts: our module (a regular expression) → theirs. The backbone's are YOLOX's too."""

from __future__ import annotations

SSTNET_NAMES = (
    (r"backbone\.darknet\.stem", "backbone.backbone.stem.conv"),
    (r"backbone\.darknet\.(dark\d\.0|dark\d\.\d\.conv\d)", r"backbone.backbone.\1"),
    (r"backbone\.darknet\.(dark\d\.\d)\.blocks\.(\d+)\.(conv\d)", r"backbone.backbone.\1.m.\2.\3"),
    (r"backbone\.(lateral_conv0|reduce_conv1|C3_p\d\.conv\d)", r"backbone.\1"),
    (r"backbone\.(C3_p\d)\.blocks\.(\d+)\.(conv\d)", r"backbone.\1.m.\2.\3"),
    (r"neck\.reference\.(\d)", r"neck.conv_ref.\1"),
    (r"neck\.current\.(\d)", r"neck.conv_cur.\1"),
    (r"neck\.key_mix\.(\d)", r"neck.conv_cr_mix.\1"),
    (r"neck\.pair\.0", "neck.conv_gl.0.bn"),
    (r"neck\.pair\.2", "neck.conv_gl.1"),
    (r"neck\.frame_mix\.(\d)", r"neck.conv_gl_mix.\1"),
    (r"neck\.final\.(\d)", r"neck.conv_final.\1"),
    (r"head\.stem", "head.stems.0"),
    (r"head\.(cls|reg)_convs\.(\d)", r"head.\1_convs.0.\2"),
    (r"head\.(cls|reg|obj)_pred", r"head.\1_preds.0"),
    (r"temporal\.embedding\.(0|2)", r"mapping1.\1"),
    (r"temporal\.expand", "mapping2.0"),
    (r"temporal\.lstm", "SSTNet"),
)

# Published names that never influence the output, and those of the temporal branch.
SSTNET_DEAD = (r"^mapping0\.",)
SSTNET_TEMPORAL = (r"^mapping[12]\.", r"^SSTNet\.")
