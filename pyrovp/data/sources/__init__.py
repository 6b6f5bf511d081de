"""The data sets made of files: one file a data set."""
