"""AWS Lambda. The folder is named as moto names it, since `lambda` is a word of Python."""
