"""Single-frame comparison methods: the clip's last frame, the key frame, is all they read."""
