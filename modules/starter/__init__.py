"""The starter world (drawn, captioned pictures) and the build of the starter model."""
