"""The labelling page: questions of the label database, answered in a browser by several people at once."""
