"""The family `cnn`: convolutions over one image or one history, beside the table's numbers and categories."""
